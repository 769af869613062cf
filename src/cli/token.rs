//! `portcullis token`: mints short-lived tokens for developers, gets real ones, and inspects tokens.

mod get;
mod inspect;
mod mint;
mod signer;

use clap::{Args, Subcommand};

use super::{Failure, Outcome};

/// The options of `token`.
#[derive(Args)]
pub struct Options {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Get a token from an authorization server with client credentials; standard output contains only the token
    Get(get::Options),
    /// Sign a token as a development issuer, for at most 15 minutes; gateways accept it if the issuer is `self_issued`
    Mint(mint::Options),
    /// Print the header and the claims of a token; with a document also its permissions and the routes it opens
    Inspect(inspect::Options),
}

/// Runs the subcommand.
pub fn run(options: &Options) -> Result<Outcome, Failure> {
    match &options.action {
        Action::Get(options) => get::run(options),
        Action::Mint(options) => mint::run(options),
        Action::Inspect(options) => inspect::run(options),
    }
}
