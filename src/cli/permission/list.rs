//! `permission list`: prints a table of all permissions and the routes that require them.

use clap::{Args, ValueEnum};
use serde_json::json;

use super::{PermissionFile, all, full_name};
use crate::cli::gateway::GatewayFile;
use crate::cli::{Exit, Failure, Output, ToolOutcome, text_table};
use crate::config::mask::Mask;

/// The options of `permission list`.
#[derive(Args)]
pub struct PermissionListOptions {
    #[command(flatten)]
    file: PermissionFile,
    /// The output format
    #[arg(long, value_enum, default_value = "text")]
    format: ListFormat,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ListFormat {
    /// A table
    Text,
    /// One JSON array
    Json,
}

/// Prints all permissions of the document, as a table or as JSON.
pub fn run(options: &PermissionListOptions) -> Result<ToolOutcome, Failure> {
    let gateway = options.file.open()?;
    let result = if options.format == ListFormat::Json { json(&gateway) } else { text(&gateway) };
    Ok(ToolOutcome { result, notes: Vec::new(), exit: Exit::Success })
}

fn text(gateway: &GatewayFile) -> Output {
    let mut rows = vec![["PERMISSION", "BIT", "MASK", "ROUTES", "DESCRIPTION"].map(str::to_string)];
    for (domain, permission) in all(gateway) {
        let name = full_name(domain, permission);
        let bit = permission.bit.value;
        let more = [
            permission
                .deprecated
                .as_ref()
                .map(|why| format!("deprecated{}{why}", if why.is_empty() { "" } else { ": " })),
            permission.since.as_ref().map(|since| format!("since {since}")),
            permission.owner.as_ref().map(|owner| format!("owner {owner}")),
        ];
        let more: Vec<String> = more.into_iter().flatten().collect();
        let more = if more.is_empty() { String::new() } else { format!(" ({})", more.join("; ")) };
        let routes = routes_requiring(gateway, &name).len().to_string();
        let description = format!("{}{more}", permission.description);
        rows.push([name, bit.to_string(), Mask::of_bit(bit).to_string(), routes, description]);
    }
    Output::Lines(text_table::text(&rows))
}

fn json(gateway: &GatewayFile) -> Output {
    let rows = all(gateway).into_iter().map(|(domain, permission)| {
        let name = full_name(domain, permission);
        json!({
            "domain": domain.name.value, "name": permission.name.value,
            "bit": permission.bit.value, "mask": Mask::of_bit(permission.bit.value).to_string(),
            "description": permission.description, "since": permission.since, "owner": permission.owner,
            "deprecated": permission.deprecated, "routes": routes_requiring(gateway, &name),
        })
    });
    Output::json(&serde_json::Value::Array(rows.collect()))
}

/// Returns the names of the routes that list a permission under `permissions` or `any_permission`.
fn routes_requiring(gateway: &GatewayFile, permission: &str) -> Vec<String> {
    let rules = gateway.policy.routes().iter().map(|(_, rule)| rule);
    let asks = rules.filter(|rule| {
        let (all, any) = rule.requirements.permissions.names();
        all.chain(any).any(|name| name == permission)
    });
    asks.map(|rule| rule.name.to_string()).collect()
}
