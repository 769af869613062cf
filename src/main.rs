//! Native entry: runs the command line and turns its outcome into an exit code.

#[cfg(not(target_family = "wasm"))]
fn main() -> std::process::ExitCode {
    portcullis::cli::run(std::env::args_os()).into()
}

/// The filter is the library; a wasm host never asks for this.
#[cfg(target_family = "wasm")]
fn main() {}
