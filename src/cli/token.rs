//! `portcullis token`: mints short-lived tokens for developers, gets real ones, and shows what a token says.

mod get;
mod inspect;
mod mint;
mod signer;

use clap::{Args, Subcommand};

use super::{Failure, Outcome};

/// What `token` is asked to do.
#[derive(Args)]
pub struct Options {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Get a token from an authorization server by client credentials; standard output has nothing else
    Get(get::Options),
    /// Sign a token as a development issuer, for 15 minutes at most; gateways take it where that issuer is `self_issued`
    Mint(mint::Options),
    /// Print header and claims of a token, not its signature; with a document also its permissions and the routes it opens
    Inspect(inspect::Options),
}

/// Does it.
pub fn run(options: &Options) -> Result<Outcome, Failure> {
    match &options.action {
        Action::Get(options) => get::run(options),
        Action::Mint(options) => mint::run(options),
        Action::Inspect(options) => inspect::run(options),
    }
}
