//! Builds proxy-wasm modules from a few hand-written Wasm instructions.

use anyhow::{Context, Result};
use wasm_encoder::{
    CodeSection, ConstExpr, DataSection, EntityType, ExportKind, ExportSection, Function, FunctionSection,
    ImportSection, Instruction, MemorySection, MemoryType, Module, TypeSection, ValType,
};

/// An exported function. In addition to its parameters, it has two local variables. All values are `i32`.
#[derive(Debug)]
pub struct Export {
    /// The name of the proxy-wasm callback.
    pub name: &'static str,
    /// The number of parameters.
    pub parameters: u32,
    /// The number of results: zero or one.
    pub results: u32,
    /// The instructions, without the final `end`.
    pub body: Vec<Instruction<'static>>,
}

impl Export {
    /// Creates a callback without a result.
    pub fn silent(name: &'static str, parameters: u32, body: Vec<Instruction<'static>>) -> Self {
        Self { name, parameters, results: 0, body }
    }

    /// Creates a callback that returns a number.
    pub fn number(name: &'static str, parameters: u32, body: Vec<Instruction<'static>>) -> Self {
        Self { name, parameters, results: 1, body }
    }
}

/// Returns the bytes of a module for ABI 0.2.1. `imports` contains the name and the number of parameters of each imported
/// function. Every imported function returns a status. The module exports the functions in `exports`, and the functions that
/// every host requires. The memory of the module starts with `data`.
///
/// To call an imported function, use its index in `imports`.
pub fn build(imports: &[(&str, u32)], exports: Vec<Export>, data: &[u8]) -> Result<Vec<u8>> {
    let mut imported = ImportSection::new();
    for (name, parameters) in imports {
        imported.import("env", name, EntityType::Function(of_type(*parameters, 1)));
    }
    let (mut functions, mut exported, mut code) = (FunctionSection::new(), ExportSection::new(), CodeSection::new());
    let first = u32::try_from(imports.len())?;
    for (index, export) in (first..).zip(always().into_iter().chain(exports)) {
        functions.function(of_type(export.parameters, export.results));
        exported.export(export.name, ExportKind::Func, index);
        let mut function = Function::new([(2, ValType::I32)]);
        export.body.iter().for_each(|instruction| {
            function.instruction(instruction);
        });
        function.instruction(&Instruction::End);
        code.function(&function);
    }
    exported.export("memory", ExportKind::Memory, 0);
    let mut memory = MemorySection::new();
    memory.memory(MemoryType { minimum: 2, maximum: None, memory64: false, shared: false, page_size_log2: None });
    let mut filled = DataSection::new();
    filled.active(0, &ConstExpr::i32_const(0), data.iter().copied());
    let mut module = Module::new();
    module.section(&types()).section(&imported).section(&functions).section(&memory).section(&exported).section(&code);
    module.section(&filled);
    let bytes = module.finish();
    wasmparser::validate(&bytes).context("the module is not valid")?;
    Ok(bytes)
}

fn always() -> Vec<Export> {
    vec![
        Export::silent("proxy_abi_version_0_2_1", 0, vec![]),
        // The host uses each allocation immediately, so one address is enough for all of them.
        Export::number("proxy_on_memory_allocate", 1, vec![Instruction::I32Const(SCRATCH)]),
        Export::silent("proxy_on_context_create", 2, vec![]),
        Export::number("proxy_on_vm_start", 2, vec![Instruction::I32Const(1)]),
    ]
}

/// Returns all function types, ordered by the number of parameters: first the types without a result, then the types with one
/// result.
fn types() -> TypeSection {
    let mut types = TypeSection::new();
    for results in 0..2 {
        for parameters in 0..=MAX_PARAMETERS {
            types.ty().function(vec![ValType::I32; parameters as usize], vec![ValType::I32; results]);
        }
    }
    types
}

fn of_type(parameters: u32, results: u32) -> u32 {
    results * (MAX_PARAMETERS + 1) + parameters
}

const MAX_PARAMETERS: u32 = 8;
const SCRATCH: i32 = 65_536;
