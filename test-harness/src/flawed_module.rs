//! Builds a flawed copy of the filter's module, which traps on each request with more than [`MAX_HEADERS`] headers.

use anyhow::{Context, Result};
use wasm_encoder::{
    BlockType, CodeSection, ExportKind, ExportSection, Function, FunctionSection, Instruction, Module, RawSection,
};
use wasmparser::{ExternalKind, Parser, Payload, TypeRef};

/// Returns the bytes of the flawed copy of the module `product`.
///
/// The copy exports a new function in place of the original callback for request headers. The new function traps if there are
/// too many headers, and calls the original callback if not. The copy contains the new function after all other functions, so
/// that their indexes do not change.
pub fn build(product: &[u8]) -> Result<Vec<u8>> {
    let sections: Vec<Payload<'_>> = Parser::new(0).parse_all(product).collect::<Result<_, _>>()?;
    let (mut imported, mut types, mut bodies, mut original) = (0, Vec::new(), Vec::new(), None);
    for section in &sections {
        match section {
            Payload::ImportSection(imports) => {
                for import in imports.clone().into_imports() {
                    imported += u32::from(matches!(import?.ty, TypeRef::Func(_)));
                }
            }
            Payload::FunctionSection(functions) => types = functions.clone().into_iter().collect::<Result<_, _>>()?,
            Payload::ExportSection(exports) => {
                let exports = exports.clone().into_iter().collect::<Result<Vec<_>, _>>()?;
                original = exports.iter().find(|export| export.name == CALLBACK).map(|export| export.index);
            }
            Payload::CodeSectionEntry(body) => bodies.push(body.as_bytes()),
            _ => {}
        }
    }
    let original = original.with_context(|| format!("the module exports no {CALLBACK}"))?;
    let own = original.checked_sub(imported).and_then(|place| types.get(usize::try_from(place).ok()?).copied());
    types.push(own.context("the exported callback is not a function of the module")?);
    let added = imported + u32::try_from(types.len())? - 1;

    let mut module = Module::new();
    for section in &sections {
        match section {
            Payload::FunctionSection(_) => {
                let mut functions = FunctionSection::new();
                types.iter().for_each(|kind| {
                    functions.function(*kind);
                });
                module.section(&functions);
            }
            Payload::ExportSection(exports) => {
                let mut written = ExportSection::new();
                for export in exports.clone() {
                    let export = export?;
                    let index = if export.name == CALLBACK { added } else { export.index };
                    written.export(export.name, kind(export.kind)?, index);
                }
                module.section(&written);
            }
            Payload::CodeSectionStart { .. } => {
                let mut code = CodeSection::new();
                bodies.iter().for_each(|body| {
                    code.raw(body);
                });
                module.section(code.function(&trap_or(original)));
            }
            other => {
                if let Some((id, range)) = other.as_section() {
                    let range = usize::try_from(range.start)?..usize::try_from(range.end)?;
                    let data = product.get(range).context("a section ends after the end of the module")?;
                    module.section(&RawSection { id, data });
                }
            }
        }
    }
    let bytes = module.finish();
    wasmparser::validate(&bytes).context("the module is not valid")?;
    Ok(bytes)
}

/// Returns the new callback. Its second parameter is the number of headers.
fn trap_or(original: u32) -> Function {
    use Instruction::{Call, End, I32Const, I32GtU, If, LocalGet, Unreachable};
    let mut function = Function::new([]);
    let check = [LocalGet(1), I32Const(MAX_HEADERS), I32GtU, If(BlockType::Empty), Unreachable, End];
    let go_on = [LocalGet(0), LocalGet(1), LocalGet(2), Call(original), End];
    check.iter().chain(&go_on).for_each(|instruction| {
        function.instruction(instruction);
    });
    function
}

fn kind(kind: ExternalKind) -> Result<ExportKind> {
    match kind {
        ExternalKind::Func => Ok(ExportKind::Func),
        ExternalKind::Memory => Ok(ExportKind::Memory),
        ExternalKind::Table => Ok(ExportKind::Table),
        ExternalKind::Global => Ok(ExportKind::Global),
        other => anyhow::bail!("the module has an export of the unsupported kind {other:?}"),
    }
}

/// The flawed module traps on a request with more headers than this, including pseudo-headers. The generated listener accepts
/// more headers.
pub const MAX_HEADERS: i32 = 60;
const CALLBACK: &str = "proxy_on_request_headers";
