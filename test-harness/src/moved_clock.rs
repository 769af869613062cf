//! Changes the wall clock of one process with a preloaded library (`setup/clock.c`) that adds an offset to the time.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::envoy;

/// A clock with an adjustable offset. A process uses this clock if it is started with the variables from [`MovedClock::env`].
/// The library in that process reads the offset from a file, and [`MovedClock::set`] writes this file.
#[derive(Debug)]
pub struct MovedClock {
    folder: PathBuf,
    offset: File,
}

impl MovedClock {
    /// Compiles the library and creates a clock with offset 0.
    pub fn new() -> Result<Self> {
        let folder = envoy::fresh_folder()?;
        // `cc` is available, because `rustc` uses it as its linker.
        let mut compiler = Command::new("cc");
        compiler.args(["-O2", "-shared", "-fPIC", "-o"]).arg(folder.join(LIBRARY));
        let built = compiler
            .arg(envoy::root().join("test-harness/setup/clock.c"))
            .status()
            .context("the C compiler `cc` cannot be started")?;
        ensure!(built.success(), "`cc` cannot compile test-harness/setup/clock.c");
        let offset = File::create(folder.join(OFFSET))?;
        let clock = Self { folder, offset };
        clock.set(0)?;
        Ok(clock)
    }

    /// Returns the environment variables that load the library into a process and contain the path of the offset file.
    pub fn env(&self) -> Vec<(String, String)> {
        let path = |name: &str| self.folder.join(name).display().to_string();
        vec![("LD_PRELOAD".to_owned(), path(LIBRARY)), ("CLOCK_OFFSET".to_owned(), path(OFFSET))]
    }

    /// Sets how many seconds the clock is ahead of the machine's clock.
    pub fn set(&self, seconds: i64) -> Result<()> {
        Ok(self.offset.write_all_at(&seconds.to_ne_bytes(), 0)?)
    }
}

impl Drop for MovedClock {
    fn drop(&mut self) {
        let _left = fs::remove_dir_all(&self.folder);
    }
}

const LIBRARY: &str = "clock.so";
const OFFSET: &str = "offset";
