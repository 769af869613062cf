//! Builds small Wasm filters that misbehave on purpose; tests load them to see how Envoy treats a filter that fails.

use std::path::{Path, PathBuf};

use anyhow::Result;
use wasm_encoder::{BlockType, Instruction, MemArg, MemArgTarget, ValType};

use crate::envoy;
use crate::small_module::{self, Export};

/// The misbehaviour of a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misbehaviour {
    /// The filter traps when it receives the headers of a request, as it would after a panic.
    TrapsAtRequests,
    /// When the filter receives the headers of a request, it allocates memory until the host refuses more, as after a leak.
    EatsMemory,
    /// The filter accepts its configuration on the main thread and rejects it on every worker (envoy-facts §0.1).
    RefusesOnWorkers,
}

/// A module in a temporary file. The file is removed on drop.
#[derive(Debug)]
pub struct File(PathBuf);

impl File {
    /// Writes a misbehaving module.
    pub fn write(misbehaviour: Misbehaviour) -> Result<Self> {
        Self::of(&build(misbehaviour)?)
    }

    /// Writes the bytes of a module.
    pub fn of(module: &[u8]) -> Result<Self> {
        let file = Self(envoy::fresh_folder()?.join("odd.wasm"));
        std::fs::write(&file.0, module)?;
        Ok(file)
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _left = self.0.parent().map(std::fs::remove_dir_all);
    }
}

/// Returns the bytes of a misbehaving module. The module exports only what a proxy-wasm host requires.
pub fn build(misbehaviour: Misbehaviour) -> Result<Vec<u8>> {
    use Instruction::{I32Const, Unreachable};
    let at_requests = match misbehaviour {
        Misbehaviour::TrapsAtRequests => vec![Unreachable],
        Misbehaviour::EatsMemory => until_no_more(),
        Misbehaviour::RefusesOnWorkers => vec![I32Const(0)],
    };
    let configure = match misbehaviour {
        Misbehaviour::TrapsAtRequests | Misbehaviour::EatsMemory => vec![I32Const(1)],
        Misbehaviour::RefusesOnWorkers => only_twice(),
    };
    let callbacks = vec![
        Export::number("proxy_on_configure", 2, configure),
        Export::number("proxy_on_request_headers", 3, at_requests),
    ];
    small_module::build(&[("proxy_get_shared_data", 5), ("proxy_set_shared_data", 5)], callbacks, KEY)
}

/// Returns instructions that grow the memory until the host refuses, and then trap like Rust's allocator.
fn until_no_more() -> Vec<Instruction<'static>> {
    use Instruction::{Br, End, I32Const, I32Eq, If, Loop, MemoryGrow, Unreachable};
    let nothing = BlockType::Empty;
    // Each step adds 16 MiB (256 pages).
    let grow = [I32Const(256), MemoryGrow(0), I32Const(-1), I32Eq];
    let mut body = vec![Loop(nothing)];
    body.extend(grow);
    body.extend([If(nothing), Unreachable, End, Br(0), End, I32Const(0)]);
    body
}

/// Returns the body of a function that counts its calls in all VMs together. The first two calls return 1 (the configuration is
/// accepted), and later calls return 0. Envoy configures its base VM first, then the VM of the main thread, and then the VMs of
/// the workers (envoy-facts §2.1), so only the workers get 0. The number of calls is stored as the length of a value in
/// Envoy's shared data.
fn only_twice() -> Vec<Instruction<'static>> {
    use Instruction::{Call, Drop, Else, End, I32Add, I32Const, I32GeU, I32Load, If, LocalGet, LocalSet};
    const COUNT: u32 = 2;
    let size = MemArg { offset: 0, align: 2, target: MemArgTarget::Memory(0), ordering: None };
    vec![
        // On the first call, the shared value does not exist. The host then writes no size, and the size in memory stays 0.
        I32Const(KEY_AT),
        I32Const(KEY_SIZE),
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
        If(BlockType::Result(ValType::I32)),
        I32Const(0),
        Else,
        I32Const(KEY_AT),
        I32Const(KEY_SIZE),
        I32Const(KEY_AT),
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

const KEY: &[u8] = b"starts";
const KEY_AT: i32 = 0;
const KEY_SIZE: i32 = 6;
