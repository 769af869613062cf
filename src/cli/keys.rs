//! `portcullis keys`: makes API keys, and lists those of a document with their owners and their ends.

use std::fs::OpenOptions;
use std::io::Write;
use std::time::Duration;

use clap::{Args, Subcommand};
use rsa::rand_core::{OsRng, RngCore};
use serde_json::json;

use super::gateway::{self, Variables};
use super::{Exit, Failure, Outcome, clock, emit, table};
use crate::config::client::ClientKey;
use crate::policy::api_key::{ApiKey, environment_of, is_environment};
use crate::policy::reply::timestamp;

/// What `keys` is asked to do.
#[derive(Args)]
pub struct Options {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Make a key: standard output has it once, standard error the record for `clients`, which does not
    Create(CreateOptions),
    /// List the keys of a document: whose they are, whether they hold, and when that ends
    List(ListOptions),
}

/// What the key is for, and who wants it.
#[derive(Args)]
struct CreateOptions {
    /// The client it is for, by its id in the document
    #[arg(long, value_name = "ID")]
    client: String,
    /// The environment it is made for; gateways of others refuse it
    #[arg(long, value_name = "NAME", value_parser = environment)]
    environment: String,
    /// Who makes it
    #[arg(long, value_name = "WHO")]
    by: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// When it ends: 2026-03-01T10:00:00Z or seconds since 1970
    #[arg(long, value_name = "TIME", value_parser = clock::parse_time)]
    expires: Duration,
    /// A file that gets a line of JSON about the deed, never the key
    #[arg(long, value_name = "FILE")]
    trail: Option<String>,
}

/// Which document is looked at, and when.
#[derive(Args)]
struct ListOptions {
    /// A gateway.yaml, an Envoy configuration or an Istio manifest
    #[arg(value_name = "FILE")]
    file: String,
    /// The time of the look: 2026-03-01T10:00:00Z or seconds since 1970
    #[arg(long, value_name = "TIME", value_parser = clock::parse_time)]
    at: Option<Duration>,
    #[command(flatten)]
    variables: Variables,
}

/// Makes or lists.
pub fn run(options: &Options) -> Result<Outcome, Failure> {
    match &options.action {
        Action::Create(options) => create(options),
        Action::List(options) => list(options),
    }
}

fn create(options: &CreateOptions) -> Result<Outcome, Failure> {
    let now = clock::now();
    if options.expires <= now {
        return Err(Failure::Message("--expires: that is over already".to_string()));
    }
    let lookup = random(LOOKUP_LETTERS)?;
    let key = ApiKey::compose(&options.environment, &lookup, &random(SECRET_LETTERS)?);
    let read = ApiKey::read(key.as_bytes()).map_err(|fault| fault.to_string())?;
    let hash: String = read.digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let record = json!([{
        "id": lookup,
        "prefix": read.prefix,
        "hash": format!("sha256:{hash}"),
        "created": moment(now),
        "expires": moment(options.expires),
        "created_by": options.by,
        "reason": options.reason,
    }]);
    if let Some(file) = &options.trail {
        // Before the key is shown: a deed without a line would be worse than a line without a deed.
        let line = json!({
            "time": moment(now), "action": "create", "client": options.client, "key": lookup, "prefix": read.prefix,
            "expires": moment(options.expires), "by": options.by, "reason": options.reason,
        });
        let opened = OpenOptions::new().append(true).create(true).open(file);
        let written = opened.and_then(|mut trail| writeln!(trail, "{line}"));
        written.map_err(|error| format!("{file}: {error}"))?;
    }
    let note = format!("add to `keys` of client `{}`:\n{}", options.client, emit::yaml(&record).trim_end());
    Ok(Outcome { result: format!("{key}\n"), notes: vec![note], exit: Exit::Success })
}

fn list(options: &ListOptions) -> Result<Outcome, Failure> {
    let gateway = gateway::look_at(&options.file, &options.variables)?;
    let now = options.at.unwrap_or_else(clock::now);
    let mut rows = vec![["CLIENT", "KEY", "ENVIRONMENT", "STANDING", "EXPIRES", "OWNER"].map(str::to_string)];
    for client in &gateway.document.clients {
        for key in &client.keys {
            rows.push([
                client.id.value.clone(),
                key.id.clone(),
                environment_of(&key.prefix).unwrap_or_default().to_string(),
                standing(key, now).to_string(),
                key.period.expires.map_or_else(|| "never".to_string(), moment),
                client.owner.clone(),
            ]);
        }
    }
    Ok(Outcome { result: table::text(&rows), notes: Vec::new(), exit: Exit::Success })
}

fn standing(key: &ClientKey, now: Duration) -> &'static str {
    match (key.revoked, key.period.not_before, key.period.expires) {
        (Some(_), ..) => "revoked",
        (_, Some(from), _) if now < from => "not yet",
        (.., Some(until)) if now >= until => "expired",
        (.., Some(until)) if until - now < SOON => "ends soon",
        _ => "holds",
    }
}

/// Letters and digits of the operating system's randomness, each of 62 as likely as the others.
fn random(letters: usize) -> Result<String, Failure> {
    let mut text = String::with_capacity(letters);
    let mut bytes = [0_u8; 64];
    while text.len() < letters {
        OsRng.try_fill_bytes(&mut bytes).map_err(|error| format!("no randomness: {error}"))?;
        // 248 is the last multiple of 62 that a byte holds: what lies above would favour the first letters.
        let fair = bytes.iter().filter(|byte| **byte < 248).map(|byte| usize::from(*byte % 62));
        text.extend(fair.filter_map(|at| LETTERS.get(at)).map(|letter| char::from(*letter)).take(letters - text.len()));
    }
    Ok(text)
}

fn moment(time: Duration) -> String {
    let mut out = String::new();
    timestamp(&mut out, time);
    out
}

fn environment(text: &str) -> Result<String, String> {
    if is_environment(text) {
        Ok(text.to_string())
    } else {
        Err("expected a-z, 0-9 and `-`, 32 at the most".to_string())
    }
}

const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const LOOKUP_LETTERS: usize = 12;
/// 190 bits.
const SECRET_LETTERS: usize = 32;
const SOON: Duration = Duration::from_secs(30 * 86_400);
