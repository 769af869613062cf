//! `permission decode`: shows the permissions in a mask or in the claims of a token, as the gateway reads them.

use clap::Args;
use serde_json::{Map, Value};

use super::{PermissionFile, all, full_name};
use crate::cli::gateway::GatewayFile;
use crate::cli::{Exit, Failure, Output, ToolOutcome, gateway};
use crate::config::claim::ClaimPath;
use crate::config::mask::Mask;
use crate::config::permission::{Permission, PermissionDomain};
use crate::policy::authority::permission_set::PermissionSet;

/// The options of `permission decode`.
#[derive(Args)]
pub struct PermissionDecodeOptions {
    #[command(flatten)]
    file: PermissionFile,
    /// The mask of each domain, such as `LIC=3,ORD=0x1`, or a token's claims as a JSON object; `-` reads standard input
    #[arg(value_name = "MASKS")]
    masks: String,
    /// The issuer whose `permission_claims` are used; by default those of every issuer
    #[arg(long, value_name = "NAME")]
    issuer: Option<String>,
}

/// Decodes the masks and lists the routes whose required permissions they satisfy.
pub fn run(options: &PermissionDecodeOptions) -> Result<ToolOutcome, Failure> {
    let gateway = options.file.open()?;
    let text = if options.masks == "-" { gateway::read("-")? } else { options.masks.clone() };
    let (claims, places) = read(text.trim(), &gateway, options.issuer.as_deref())?;
    let granted = gateway.policy.permissions().granted(&claims, &places).map_err(|fault| fault.0)?;
    let mut lines = described(&gateway, &granted);
    lines.extend([String::new(), "routes whose required permissions are met".to_string()]);
    let opened = opened(&gateway, &granted);
    lines.extend(opened.iter().map(|name| format!("  {name}")));
    if opened.is_empty() {
        lines.push("  none".to_string());
    }
    let notes = nameless(&claims, &places, &gateway);
    Ok(ToolOutcome { result: Output::Lines(lines), notes, exit: Exit::Success })
}

/// Describes the permissions of a set, one permission per line.
pub fn described(gateway: &GatewayFile, granted: &PermissionSet) -> Vec<String> {
    let held = gateway.policy.permissions().names_of(granted);
    let held: Vec<&str> = held.split(',').collect();
    let line = |(domain, permission): (&PermissionDomain, &Permission)| {
        let deprecated = if permission.deprecated.is_some() { " (deprecated)" } else { "" };
        let name = full_name(domain, permission);
        held.contains(&name.as_str()).then(|| format!("{name}: {}{deprecated}", permission.description))
    };
    let lines: Vec<String> = all(gateway).into_iter().filter_map(line).collect();
    if granted.is_empty() { vec!["no permission".to_string()] } else { lines }
}

/// Returns the claims in the input, and the paths of the claims that contain permissions.
fn read(text: &str, gateway: &GatewayFile, issuer: Option<&str>) -> Result<(Value, Vec<ClaimPath>), Failure> {
    if text.starts_with('{') {
        let claims = crate::strict_json::parse(text.as_bytes())
            .map_err(|fault| format!("the claims cannot be read: {fault}"))?;
        let issuers = gateway.document.issuers.iter();
        let chosen: Vec<_> = issuers.filter(|i| issuer.is_none_or(|name| i.name.value == name)).collect();
        if let (Some(name), true) = (issuer, chosen.is_empty()) {
            return Err(Failure::Message(format!("--issuer: no issuer `{name}`")));
        }
        let mut places: Vec<ClaimPath> = Vec::new();
        for place in chosen.iter().flat_map(|issuer| &issuer.rules.permission_claims) {
            if !places.contains(place) {
                places.push(place.clone());
            }
        }
        return Ok((claims, places));
    }
    let mut claims = Map::new();
    for pair in text.split(',') {
        let Some((domain, mask)) = pair.trim().split_once('=') else {
            // The error does not repeat the input, which might be a whole token.
            return Err(Failure::Message("expected masks like `LIC=3`, or claims as a JSON object".to_string()));
        };
        if claims.insert(domain.to_string(), Value::String(mask.to_string())).is_some() {
            return Err(Failure::Message(format!("`{domain}` is listed twice")));
        }
        if !gateway.document.permissions.iter().any(|known| known.name.value == domain) {
            let known: Vec<_> = gateway.document.permissions.iter().map(|d| d.name.value.as_str()).collect();
            return Err(Failure::Message(format!("no domain `{domain}` (declared: {})", known.join(", "))));
        }
    }
    Ok((Value::Object(claims), vec![ClaimPath::members(&[])]))
}

/// Returns the routes that require permissions and accept the granted permissions.
fn opened(gateway: &GatewayFile, granted: &PermissionSet) -> Vec<String> {
    let rules = gateway.policy.routes().iter().map(|(_, rule)| rule);
    let with_requirements = rules.filter(|rule| !rule.requirements.permissions.is_empty());
    with_requirements
        .filter(|rule| rule.requirements.permissions.is_met(granted))
        .map(|rule| rule.name.to_string())
        .collect()
}

/// Returns a note for each bit that is set in the claims and belongs to no permission. Such a bit grants nothing, and is probably
/// a mistake of the issuer.
pub fn nameless(claims: &Value, places: &[ClaimPath], gateway: &GatewayFile) -> Vec<String> {
    let mut notes = Vec::new();
    for domain in &gateway.document.permissions {
        let named = |bit: u16| domain.permissions.iter().any(|permission| permission.bit.value == bit);
        let values = places.iter().filter_map(|place| place.find(claims)).filter_map(|at| match at {
            Value::Object(members) => members.get(&domain.name.value).cloned(),
            Value::Array(items) => items.iter().filter_map(Value::as_str).find_map(|item| {
                let (name, mask) = item.split_once(':')?;
                (name == domain.name.value).then(|| Value::String(mask.to_string()))
            }),
            _ => None,
        });
        for mask in values.filter_map(|value| Mask::from_json(&value).ok()) {
            let unnamed = mask.bits().filter(|bit| !named(*bit));
            notes.extend(
                unnamed.map(|bit| format!("note: bit {bit} of {} has no name and grants nothing", domain.name.value)),
            );
        }
    }
    notes
}
