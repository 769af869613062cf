//! Packs the filter's module: keeps only the callbacks that it uses, empties unreachable functions, and checks its imports.
//!
//! Envoy calls every exported callback, so an unused callback costs time on each request. Envoy compiles the whole module at
//! start-up, so an unreachable function costs start-up time. `pack --sizes` prints the sizes of the largest crates in the module.

mod sizes;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use wasm_encoder::reencode::{Reencode, RoundtripReencoder};
use wasm_encoder::{CodeSection, ExportSection, Function, Instruction, Module, RawSection};
use wasmparser::{Element, ElementItems, ExternalKind, FunctionBody, Operator, Parser, Payload, TypeRef};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.as_slice() {
        [option, from] if option == "--sizes" => print_sizes(Path::new(from)),
        [from, to] => pack_file(Path::new(from), Path::new(to)),
        _ => Err(anyhow::anyhow!("usage: pack FROM.wasm TO.wasm, or pack --sizes FROM.wasm")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pack: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn pack_file(from: &Path, to: &Path) -> Result<()> {
    let module = std::fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    let packed = pack(&module)?;
    if let Some(folder) = to.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(to, &packed).with_context(|| format!("cannot write {}", to.display()))?;
    println!("{}: {} bytes ({} before packing)", to.display(), packed.len(), module.len());
    Ok(())
}

/// Prints the ten largest crates of a module. The module must not be packed yet, because packing removes the function names.
fn print_sizes(from: &Path) -> Result<()> {
    let module = std::fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    let sketch = Sketch::of(&module)?;
    let bodies: Vec<_> =
        (sketch.imported_functions..).zip(sketch.bodies.iter().map(|body| body.as_bytes().len())).collect();
    let crates = sizes::largest(&module, &bodies, &sketch.reached()?)?;
    let whole: usize = crates.iter().map(|(_, bytes)| bytes).sum();
    println!("{whole:>8} bytes of code; the packed module has {} bytes", pack(&module)?.len());
    for (name, bytes) in crates.iter().take(10) {
        println!("{bytes:>8} {name}");
    }
    Ok(())
}

fn pack(module: &[u8]) -> Result<Vec<u8>> {
    let sketch = Sketch::of(module)?;
    sketch.check_imports()?;
    let packed = sketch.write(module)?;
    wasmparser::validate(&packed).context("the packed module is not valid")?;
    Ok(packed)
}

/// The parts of a module that are needed to rewrite it.
#[derive(Default)]
struct Sketch<'a> {
    imports: Vec<(&'a str, &'a str)>,
    imported_functions: u32,
    exports: Vec<wasmparser::Export<'a>>,
    bodies: Vec<FunctionBody<'a>>,
    /// Functions that can run although no function calls them directly: the functions in tables, and the start function.
    held: BTreeSet<u32>,
}

impl<'a> Sketch<'a> {
    fn of(module: &'a [u8]) -> Result<Self> {
        let mut sketch = Self::default();
        for payload in Parser::new(0).parse_all(module) {
            match payload? {
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        let import = import?;
                        sketch.imports.push((import.module, import.name));
                        sketch.imported_functions += u32::from(matches!(import.ty, TypeRef::Func(_)));
                    }
                }
                Payload::ExportSection(section) => sketch.exports = section.into_iter().collect::<Result<_, _>>()?,
                Payload::StartSection { func, .. } => drop(sketch.held.insert(func)),
                Payload::ElementSection(section) => {
                    for element in section {
                        sketch.hold(element?)?;
                    }
                }
                Payload::CodeSectionEntry(body) => sketch.bodies.push(body),
                _ => {}
            }
        }
        Ok(sketch)
    }

    fn hold(&mut self, element: Element<'a>) -> Result<()> {
        match element.items {
            ElementItems::Functions(functions) => {
                for function in functions {
                    self.held.insert(function?);
                }
            }
            ElementItems::Expressions(_, expressions) => {
                for expression in expressions {
                    for operator in expression?.get_operators_reader() {
                        self.held.extend(called(&operator?));
                    }
                }
            }
        }
        Ok(())
    }

    fn check_imports(&self) -> Result<()> {
        for (module, name) in &self.imports {
            let allowed = match *module {
                "env" => name.starts_with("proxy_"),
                "wasi_snapshot_preview1" => WASI.contains(name),
                _ => false,
            };
            ensure!(allowed, "the module imports {module}.{name}, which a proxy-wasm host might not provide");
        }
        Ok(())
    }

    /// Returns the exports to keep, with the names that hosts use. A callback `portcullis_on_…` of the filter is exported as
    /// `proxy_on_…`, instead of the callback of the proxy-wasm crate.
    fn kept(&self) -> Vec<wasmparser::Export<'a>> {
        let named = |export: &wasmparser::Export<'a>| {
            let name = CALLBACKS
                .iter()
                .chain(FULL_CALLBACKS)
                .find(|name| name.strip_prefix("proxy") == export.name.strip_prefix("portcullis"));
            name.or_else(|| KEPT.iter().find(|name| **name == export.name))
                .map(|name| (*name, export.kind, export.index))
        };
        let named = self.exports.iter().filter_map(named);
        named.map(|(name, kind, index)| wasmparser::Export { name, kind, index }).collect()
    }

    /// Returns all functions that are reachable from the kept exports, the tables and the start function.
    fn reached(&self) -> Result<BTreeSet<u32>> {
        let functions = self.kept().into_iter().filter(|export| export.kind == ExternalKind::Func);
        let mut to_visit: Vec<u32> = functions.map(|export| export.index).chain(self.held.iter().copied()).collect();
        let mut reached = BTreeSet::new();
        while let Some(function) = to_visit.pop() {
            let body = function.checked_sub(self.imported_functions).and_then(|at| self.bodies.get(at as usize));
            if !reached.insert(function) {
                continue;
            }
            for operator in body.iter().map(|body| body.get_operators_reader()) {
                for operator in operator? {
                    to_visit.extend(called(&operator?));
                }
            }
        }
        Ok(reached)
    }

    /// Returns the packed module. It has only the kept exports. The body of an unreachable function becomes a trap; the function
    /// itself stays, so that no function index changes.
    fn write(&self, module: &[u8]) -> Result<Vec<u8>> {
        let kept = self.kept();
        for needed in REQUIRED.iter().chain(CALLBACKS) {
            ensure!(kept.iter().any(|export| export.name == *needed), "the module does not export {needed}");
        }
        let reached = self.reached()?;
        let mut out = Module::new();
        for payload in Parser::new(0).parse_all(module) {
            let payload = payload?;
            match &payload {
                Payload::ExportSection(_) => drop(out.section(&self.export_section()?)),
                Payload::CodeSectionStart { .. } => drop(out.section(&self.code_section(&reached)?)),
                // The custom sections contain function names and compiler versions, which hosts do not need.
                Payload::CustomSection(_) => {}
                _ => {
                    if let Some((id, range)) = payload.as_section() {
                        let range = usize::try_from(range.start)?..usize::try_from(range.end)?;
                        let data = module.get(range).context("a section ends after the end of the module")?;
                        out.section(&RawSection { id, data });
                    }
                }
            }
        }
        Ok(out.finish())
    }

    fn export_section(&self) -> Result<ExportSection> {
        let mut section = ExportSection::new();
        for export in self.kept() {
            section.export(export.name, RoundtripReencoder.export_kind(export.kind)?, export.index);
        }
        Ok(section)
    }

    fn code_section(&self, reached: &BTreeSet<u32>) -> Result<CodeSection> {
        let mut section = CodeSection::new();
        for (index, body) in (self.imported_functions..).zip(&self.bodies) {
            if reached.contains(&index) {
                section.raw(body.as_bytes());
            } else {
                let mut trap = Function::new([]);
                trap.instruction(&Instruction::Unreachable).instruction(&Instruction::End);
                section.function(&trap);
            }
        }
        Ok(section)
    }
}

fn called(operator: &Operator<'_>) -> Option<u32> {
    match operator {
        Operator::Call { function_index }
        | Operator::ReturnCall { function_index }
        | Operator::RefFunc { function_index } => Some(*function_index),
        _ => None,
    }
}

/// The exports that the packed module keeps, in addition to the callbacks.
const KEPT: &[&str] = &["memory", "_initialize", "malloc", "proxy_on_memory_allocate", "proxy_abi_version_0_2_1"];

/// The exports without which no host can run the module. Packing fails if the module lacks one.
const REQUIRED: &[&str] = &["memory", "_initialize", "proxy_on_memory_allocate", "proxy_abi_version_0_2_1"];

/// The callbacks that Portcullis implements. Before packing, the module exports them as `portcullis_on_…`, next to the callbacks
/// of the proxy-wasm crate.
const CALLBACKS: &[&str] = &[
    "proxy_on_configure",
    "proxy_on_context_create",
    "proxy_on_tick",
    "proxy_on_request_headers",
    "proxy_on_request_body",
    "proxy_on_request_trailers",
    "proxy_on_response_headers",
    "proxy_on_http_call_response",
    "proxy_on_grpc_receive",
    "proxy_on_grpc_close",
    "proxy_on_log",
];

/// The callbacks that only the full module implements, because Envoy calls them for every part of every response.
const FULL_CALLBACKS: &[&str] = &["proxy_on_response_body", "proxy_on_response_trailers"];

/// The WASI functions that the proxy-wasm ABI 0.2.1 requires hosts to provide.
const WASI: &[&str] = &[
    "args_get",
    "args_sizes_get",
    "clock_time_get",
    "environ_get",
    "environ_sizes_get",
    "fd_write",
    "proc_exit",
    "random_get",
];
