//! `make reference` writes the files that are generated from `docs/gateway.schema.json`.

use std::fs;
use std::process::ExitCode;

use anyhow::Result;
use test_harness::envoy::root;
use test_harness::reference;

fn main() -> ExitCode {
    match write() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("reference: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn write() -> Result<()> {
    for (path, text) in reference::files()? {
        fs::write(root().join(path), text)?;
    }
    Ok(())
}
