//! `portcullis can`: shows which routes a caller can use; for each route, the decision code of the filter decides a simulated
//! request.

use std::time::Duration;

use clap::{ArgGroup, Args};
use serde_json::{Value, json};

use super::explain::hypothetical_token::SupposedClaims;
use super::explain::{PresentedCredentials, SimulatedGateway};
use super::gateway::GatewayFile;
use super::keys::client_file::refuse_key_itself;
use super::stand_in_clients::StandInSource;
use super::who_can::WhoCanFormat;
use super::{Exit, Failure, Output, ToolOutcome, clock, stand_in_clients, text_table, try_routes};
use crate::config::client::{ClientKey, ClientSettings};
use crate::policy::credentials::api_key::environment_of;

/// The options of `can`.
#[derive(Args)]
#[command(group = ArgGroup::new("caller").args(["claims", "client"]).required(true).multiple(true))]
pub struct CanOptions {
    #[command(flatten)]
    source: StandInSource,
    #[command(flatten)]
    claims: SupposedClaims,
    /// The id of a client; the simulated requests send its key and its certificate, and with --claims also a token
    #[arg(long, value_name = "ID")]
    client: Option<String>,
    /// The id or prefix of the key that the client sends; by default its first key that is valid for this gateway
    #[arg(long, value_name = "ID", requires = "client")]
    key: Option<String>,
    /// The time of the simulated requests: 2026-03-01T10:00:00Z or seconds since 1970; by default the current time
    #[arg(long, value_name = "TIME", value_parser = clock::parse_time)]
    at: Option<Duration>,
    /// The output format
    #[arg(long, value_enum, default_value = "text")]
    format: WhoCanFormat,
}

/// Simulates one request for every route, and reports for each whether the filter allows it.
pub fn run(options: &CanOptions) -> Result<ToolOutcome, Failure> {
    let all_clients = options.source.open()?;
    let now = options.at.unwrap_or_else(clock::now);
    let gateway = &all_clients.gateway;
    let token = options.claims.token(&gateway.document, now)?;
    let client = options.client.as_deref().map(|id| all_clients.client(id)).transpose()?;
    let key = client.map(|client| key(client, options.key.as_deref(), gateway, now)).transpose()?.flatten();
    let certificate = client.and_then(stand_in_clients::certificate_of);
    let names = [
        key.map(|key| format!("key {}", key.id)),
        certificate.as_ref().map(|_| "its certificate".to_string()),
        token.as_ref().map(|_| "a token".to_string()),
    ];
    let names: Vec<String> = names.into_iter().flatten().collect();
    let secret = key.and_then(stand_in_clients::stand_in_for);
    let presented = PresentedCredentials { token: token.as_ref(), key: secret.as_deref(), certificate };
    let mut simulated = SimulatedGateway::new(gateway, None, all_clients.listed.as_deref(), now)?;
    let answers = try_routes::try_all(&mut simulated, &presented)?;
    let result = match options.format {
        WhoCanFormat::Text => Output::Lines(text_table::text(&try_routes::rows(&answers))),
        WhoCanFormat::Csv => Output::Lines(text_table::csv(&try_routes::rows(&answers))),
        WhoCanFormat::Json => {
            let all = answers.iter().map(|answer| {
                json!({
                    "route": answer.name, "request": answer.request, "allowed": answer.allowed, "reason": answer.reason,
                    "upstream": answer.route.upstream.as_ref().map(|upstream| &upstream.value),
                })
            });
            Output::json(&Value::Array(all.collect()))
        }
    };
    let note = client.map(|client| match names.is_empty() {
        true => format!("client `{}` has no key and no certificate to send", client.id.value),
        false => format!("client `{}` sends {}", client.id.value, names.join(", ")),
    });
    Ok(ToolOutcome { result, notes: note.into_iter().collect(), exit: Exit::Success })
}

/// Returns the client's key with this id or prefix. Without an id, returns the client's first key that belongs to the gateway's
/// environment and is valid at `now`. If the client has no such key, returns its first key, or `None` if it has no keys.
fn key<'c>(
    client: &'c ClientSettings,
    id: Option<&str>,
    gateway: &GatewayFile,
    now: Duration,
) -> Result<Option<&'c ClientKey>, Failure> {
    match id {
        Some(id) => {
            refuse_key_itself(id)?;
            let named = client.keys.iter().find(|key| key.id == id || key.prefix == id);
            let missing = || Failure::Message(format!("client `{}` has no key `{id}`", client.id.value));
            named.map(Some).ok_or_else(missing)
        }
        None => {
            let here = gateway.document.environment.as_ref().map(|environment| environment.value.as_str());
            let holds = |key: &&ClientKey| {
                let is_ours = environment_of(&key.prefix) == here;
                let has_begun = key.period.not_before.is_none_or(|from| from <= now);
                is_ours && key.revoked.is_none() && has_begun && key.period.expires.is_none_or(|end| now < end)
            };
            Ok(client.keys.iter().find(holds).or(client.keys.first()))
        }
    }
}
