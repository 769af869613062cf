//! Native entry point: runs the command line and returns its exit code.

#[cfg(not(target_family = "wasm"))]
fn main() -> std::process::ExitCode {
    portcullis::cli::run(std::env::args_os()).into()
}

/// Does nothing. On wasm, the filter is the library, and a wasm host never calls this function.
#[cfg(target_family = "wasm")]
fn main() {}
