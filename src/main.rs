//! The native program `portcullis`: runs the command line and returns its exit status.

#[cfg(all(feature = "cli", not(target_family = "wasm")))]
fn main() -> std::process::ExitCode {
    portcullis::cli::run(std::env::args_os()).into()
}

/// Does nothing. For wasm targets, only the library is used, but Cargo also builds this file, which needs a `main` function.
#[cfg(not(all(feature = "cli", not(target_family = "wasm"))))]
fn main() {}
