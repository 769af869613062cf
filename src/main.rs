//! Native entry point: runs the command line and returns its exit code.

#[cfg(not(target_family = "wasm"))]
fn main() -> std::process::ExitCode {
    portcullis::cli::run(std::env::args_os()).into()
}

/// The filter is the library; a wasm host never calls this.
#[cfg(target_family = "wasm")]
fn main() {}
