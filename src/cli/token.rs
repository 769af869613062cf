//! `portcullis token`: gets tokens from an authorization server, mints short-lived tokens for developers, and inspects tokens.

mod get;
mod inspect;
mod mint;
mod signer;

use clap::Subcommand;

use super::{Failure, ToolOutcome};

/// The subcommands of `token`.
#[derive(Subcommand)]
pub enum TokenAction {
    /// Get a token from an authorization server with client credentials; standard output contains only the token
    Get(get::TokenGetOptions),
    /// Sign a development token that is valid for at most 15 minutes; gateways that trust the issuer's key accept the token
    Mint(mint::TokenMintOptions),
    /// Print the header and the claims of a token; with a gateway document, also its permissions and the routes that accept it
    Inspect(inspect::TokenInspectOptions),
}

/// Runs the subcommand.
pub fn run(action: &TokenAction) -> Result<ToolOutcome, Failure> {
    match action {
        TokenAction::Get(options) => get::run(options),
        TokenAction::Mint(options) => mint::run(options),
        TokenAction::Inspect(options) => inspect::run(options),
    }
}
