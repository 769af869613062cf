//! `portcullis permission`: adds, lists, decodes and locks permissions, and prints them as constants of a programming language.

mod add;
mod constants;
pub mod decode;
mod list;
pub mod lock;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::gateway::{self, GatewayFile, Variables};
use super::{Failure, ToolOutcome};
use crate::config::permission::{Permission, PermissionDomain};

/// The subcommands of `permission`.
#[derive(Subcommand)]
pub enum PermissionAction {
    /// Add a permission with the next free bit of its domain; the rest of the file does not change
    Add(add::PermissionAddOptions),
    /// List every permission and the routes that require it
    List(list::PermissionListOptions),
    /// Decode `LIC=3` or the claims of a token into permissions, and list the routes that they allow
    Decode(decode::PermissionDecodeOptions),
    /// Record the bit of each permission in a lock file, so that no bit is ever renumbered or reused
    Lock(lock::PermissionLockOptions),
    /// Print the permissions as constants of a programming language
    Constants(constants::PermissionConstantsOptions),
}

/// The option for a file with a gateway document. Environment variables in the document's upstream URLs need not be set.
#[derive(Args)]
struct PermissionFile {
    /// A gateway.yaml, an Envoy configuration or an Istio manifest
    #[arg(value_name = "FILE")]
    file: String,
    #[command(flatten)]
    variables: Variables,
}

impl PermissionFile {
    fn open(&self) -> Result<GatewayFile, Failure> {
        gateway::open_for_inspection(&self.file, &self.variables)
    }

    /// Returns the path of the lock file for this document.
    fn lock(&self) -> PathBuf {
        lock::beside(&self.file)
    }
}

/// Runs the subcommand.
pub fn run(action: &PermissionAction) -> Result<ToolOutcome, Failure> {
    match action {
        PermissionAction::Add(options) => add::run(options),
        PermissionAction::List(options) => list::run(options),
        PermissionAction::Decode(options) => decode::run(options),
        PermissionAction::Lock(options) => lock::run(options),
        PermissionAction::Constants(options) => constants::run(options),
    }
}

/// Returns every permission with its domain, ordered by domain name and bit.
fn all(gateway: &GatewayFile) -> Vec<(&PermissionDomain, &Permission)> {
    let domains = gateway.document.permissions.iter();
    let mut all: Vec<_> = domains.flat_map(|d| d.permissions.iter().map(move |p| (d, p))).collect();
    all.sort_by(|(d, p), (e, q)| (&d.name.value, p.bit.value).cmp(&(&e.name.value, q.bit.value)));
    all
}

/// Returns the domain and the name of a permission, such as `LIC.READ_ORDERS`.
fn full_name(domain: &PermissionDomain, permission: &Permission) -> String {
    format!("{}.{}", domain.name.value, permission.name.value)
}
