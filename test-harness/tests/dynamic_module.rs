//! Checks the symbols of the dynamic module: it must load with an old glibc, and with an Envoy that lacks optional functions.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result, ensure};
use object::elf::FileHeader64;
use object::read::elf::{FileHeader, Sym};
use object::{Architecture, Endianness, Object};
use test_harness::envoy::{Host, module_of};

type Elf = FileHeader64<Endianness>;

#[test]
fn the_dynamic_module_runs_with_glibc_2_28() -> Result<()> {
    let symbols = symbols()?;
    let versions: BTreeSet<_> = symbols.iter().filter_map(|symbol| symbol.version.as_deref()).collect();
    ensure!(!versions.is_empty(), "the module needs no symbol with a version, so the test is wrong");
    for symbol in &symbols {
        let Some(version) = &symbol.version else { continue };
        let number = version.strip_prefix("GLIBC_").with_context(|| format!("{} needs {version}", symbol.name))?;
        ensure!(numbers(number)? <= numbers(OLDEST_GLIBC)?, "{} needs {version}, above {OLDEST_GLIBC}", symbol.name);
    }
    Ok(())
}

#[test]
fn the_dynamic_module_looks_envoy_functions_up_at_run_time() -> Result<()> {
    let linked = symbols()?.into_iter().filter(|symbol| !symbol.is_defined && symbol.name.starts_with(PREFIX));
    let linked: Vec<_> = linked.map(|symbol| symbol.name).collect();
    ensure!(linked.is_empty(), "the module is linked with functions of Envoy: {linked:?}");
    Ok(())
}

#[test]
fn the_dynamic_module_exports_only_its_hooks() -> Result<()> {
    let exported: BTreeSet<_> =
        symbols()?.into_iter().filter(|symbol| symbol.is_defined).map(|symbol| symbol.name).collect();
    let hooks: BTreeSet<_> = HOOKS.iter().map(|hook| format!("{PREFIX}{hook}")).collect();
    let (missing, extra) = (hooks.difference(&exported).collect::<Vec<_>>(), exported.difference(&hooks));
    let extra: Vec<_> = extra.collect();
    ensure!(missing.is_empty() && extra.is_empty(), "hooks that are not exported: {missing:?}; exports: {extra:?}");
    Ok(())
}

#[test]
fn the_dynamic_module_has_the_architecture_of_its_envoy() -> Result<()> {
    let expected = match std::env::var_os("DYNAMIC_MODULE") {
        Some(name) if name.to_string_lossy().ends_with("-aarch64.so") => Architecture::Aarch64,
        _ if cfg!(target_arch = "aarch64") => Architecture::Aarch64,
        _ => Architecture::X86_64,
    };
    let bytes = fs::read(module_of(Host::DynamicModule)?)?;
    let found = object::File::parse(bytes.as_slice())?.architecture();
    ensure!(found == expected, "the module is built for {found:?}, expected {expected:?}");
    Ok(())
}

/// A symbol of the module's dynamic symbol table.
struct Symbol {
    name: String,
    is_defined: bool,
    /// The version that the module needs, such as `GLIBC_2.28`.
    version: Option<String>,
}

/// Returns the dynamic symbols of the module, without local symbols.
fn symbols() -> Result<Vec<Symbol>> {
    let bytes = fs::read(module_of(Host::DynamicModule)?)?;
    let bytes = bytes.as_slice();
    let header = Elf::parse(bytes)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, bytes)?;
    let table = sections.symbols(endian, bytes, object::elf::SHT_DYNSYM)?;
    let versions = sections.versions(endian, bytes)?.context("the module has no symbol versions")?;
    let mut found = Vec::new();
    for (index, symbol) in table.enumerate() {
        if symbol.st_bind() == object::elf::STB_LOCAL {
            continue;
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let version = versions.version(versions.version_index(endian, index).into())?;
        found.push(Symbol {
            name: text(symbol.name(endian, table.strings())?),
            is_defined: !symbol.is_undefined(endian),
            version: version.map(|version| text(version.name())),
        });
    }
    ensure!(found.len() > HOOKS.len(), "the module has only {} dynamic symbols", found.len());
    Ok(found)
}

/// Returns the numbers of a version such as `2.28`, which are compared as numbers and not as text.
fn numbers(version: &str) -> Result<Vec<u32>> {
    version.split('.').map(|part| part.parse().with_context(|| format!("`{version}` is not a version"))).collect()
}

const OLDEST_GLIBC: &str = "2.28";
const PREFIX: &str = "envoy_dynamic_module";
const HOOKS: [&str; 24] = [
    "_on_http_filter_config_destroy",
    "_on_http_filter_config_http_callout_done",
    "_on_http_filter_config_new",
    "_on_http_filter_config_scheduled",
    "_on_http_filter_destroy",
    "_on_http_filter_downstream_above_write_buffer_high_watermark",
    "_on_http_filter_downstream_below_write_buffer_low_watermark",
    "_on_http_filter_http_callout_done",
    "_on_http_filter_http_stream_complete",
    "_on_http_filter_http_stream_data",
    "_on_http_filter_http_stream_headers",
    "_on_http_filter_http_stream_reset",
    "_on_http_filter_http_stream_trailers",
    "_on_http_filter_local_reply",
    "_on_http_filter_new",
    "_on_http_filter_request_body",
    "_on_http_filter_request_headers",
    "_on_http_filter_request_trailers",
    "_on_http_filter_response_body",
    "_on_http_filter_response_headers",
    "_on_http_filter_response_trailers",
    "_on_http_filter_scheduled",
    "_on_http_filter_stream_complete",
    "_on_program_init",
];
