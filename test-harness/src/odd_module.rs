//! Small wasm filters that misbehave on purpose, put in the place of the product's: what the configuration around it is worth.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use wasm_encoder::{
    CodeSection, ConstExpr, DataSection, EntityType, ExportKind, ExportSection, Function, FunctionSection,
    ImportSection, Instruction, MemArg, MemArgTarget, MemorySection, MemoryType, Module, TypeSection, ValType,
};

use crate::envoy;

/// What a filter does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Oddity {
    /// It traps at the headers of each request, as a panic does.
    TrapsAtRequests,
    /// It takes memory at the headers of each request until the host gives no more, as a leak does in the end.
    EatsMemory,
    /// It takes its configuration on the main thread and refuses it on every worker (envoy-facts §0.1).
    RefusesOnWorkers,
}

/// Such a module as a file, for as long as this value lives.
#[derive(Debug)]
pub struct File(PathBuf);

impl File {
    /// Writes one.
    pub fn write(oddity: Oddity) -> Result<Self> {
        let file = Self(envoy::fresh_folder()?.join("odd.wasm"));
        std::fs::write(&file.0, build(oddity)?)?;
        Ok(file)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _left = self.0.parent().map(std::fs::remove_dir_all);
    }
}

/// The module's bytes: the exports that a proxy-wasm host asks for (ABI 0.2.1), and not one more.
pub fn build(oddity: Oddity) -> Result<Vec<u8>> {
    let mut module = Module::new();
    module.section(&types()).section(&imports());
    let mut functions = FunctionSection::new();
    let mut exports = ExportSection::new();
    let mut code = CodeSection::new();
    for (index, (name, of_type, body)) in (IMPORTED..).zip(bodies(oddity)) {
        functions.function(of_type);
        exports.export(name, ExportKind::Func, index);
        let mut function = Function::new([(2, ValType::I32)]);
        body.iter().for_each(|instruction| {
            function.instruction(instruction);
        });
        function.instruction(&Instruction::End);
        code.function(&function);
    }
    exports.export("memory", ExportKind::Memory, 0);
    let mut memory = MemorySection::new();
    memory.memory(MemoryType { minimum: 2, maximum: None, memory64: false, shared: false, page_size_log2: None });
    let mut data = DataSection::new();
    data.active(0, &ConstExpr::i32_const(KEY), *b"starts");
    module.section(&functions).section(&memory).section(&exports).section(&code).section(&data);
    let bytes = module.finish();
    wasmparser::validate(&bytes).context("the odd module is not valid")?;
    Ok(bytes)
}

/// Types by their number of i32 parameters, first those without a result, then those with one.
fn types() -> TypeSection {
    let mut types = TypeSection::new();
    for results in 0..2 {
        for parameters in 0..=MOST_PARAMETERS {
            types.ty().function(vec![ValType::I32; parameters], vec![ValType::I32; results]);
        }
    }
    types
}

fn nothing_from(parameters: u32) -> u32 {
    parameters
}

fn number_from(parameters: u32) -> u32 {
    6 + parameters
}

fn imports() -> ImportSection {
    let mut imports = ImportSection::new();
    imports.import("env", "proxy_get_shared_data", EntityType::Function(number_from(5)));
    imports.import("env", "proxy_set_shared_data", EntityType::Function(number_from(5)));
    imports
}

fn bodies(oddity: Oddity) -> Vec<(&'static str, u32, Vec<Instruction<'static>>)> {
    use Instruction::{I32Const, Unreachable};
    let at_requests = match oddity {
        Oddity::TrapsAtRequests => vec![Unreachable],
        Oddity::EatsMemory => until_no_more(),
        Oddity::RefusesOnWorkers => vec![I32Const(0)],
    };
    let configure = match oddity {
        Oddity::TrapsAtRequests | Oddity::EatsMemory => vec![I32Const(1)],
        Oddity::RefusesOnWorkers => only_twice(),
    };
    vec![
        ("proxy_abi_version_0_2_1", nothing_from(0), vec![]),
        // The host copies out what it put there before it asks again, so one place is enough.
        ("proxy_on_memory_allocate", number_from(1), vec![I32Const(SCRATCH)]),
        ("proxy_on_context_create", nothing_from(2), vec![]),
        ("proxy_on_vm_start", number_from(2), vec![I32Const(1)]),
        ("proxy_on_configure", number_from(2), configure),
        ("proxy_on_request_headers", number_from(3), at_requests),
    ]
}

/// An allocator that gets no more memory ends its program, and Rust's does it by this very instruction.
fn until_no_more() -> Vec<Instruction<'static>> {
    use Instruction::{Br, End, I32Const, I32Eq, If, Loop, MemoryGrow, Unreachable};
    let nothing = wasm_encoder::BlockType::Empty;
    // 16 MiB at a time.
    let grow = [I32Const(256), MemoryGrow(0), I32Const(-1), I32Eq];
    let mut body = vec![Loop(nothing)];
    body.extend(grow);
    body.extend([If(nothing), Unreachable, End, Br(0), End, I32Const(0)]);
    body
}

/// Envoy configures its trial VM first, then that of the main thread, then those of the workers (§2.1). The length of a value
/// that all of them share counts them.
fn only_twice() -> Vec<Instruction<'static>> {
    use Instruction::{Call, Drop, Else, End, I32Add, I32Const, I32GeU, I32Load, If, LocalGet, LocalSet};
    const COUNT: u32 = 2;
    let size = MemArg { offset: 0, align: 2, target: MemArgTarget::Memory(0), ordering: None };
    vec![
        // A missing key leaves the size as it is: zero.
        I32Const(KEY),
        I32Const(6),
        I32Const(64),
        I32Const(68),
        I32Const(72),
        Call(0),
        Drop,
        I32Const(68),
        I32Load(size),
        LocalSet(COUNT),
        LocalGet(COUNT),
        I32Const(2),
        I32GeU,
        If(wasm_encoder::BlockType::Result(ValType::I32)),
        I32Const(0),
        Else,
        I32Const(KEY),
        I32Const(6),
        I32Const(KEY),
        LocalGet(COUNT),
        I32Const(1),
        I32Add,
        I32Const(0),
        Call(1),
        Drop,
        I32Const(1),
        End,
    ]
}

const IMPORTED: u32 = 2;
const MOST_PARAMETERS: usize = 5;
const KEY: i32 = 16;
const SCRATCH: i32 = 65_536;
