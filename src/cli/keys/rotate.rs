//! `keys rotate`: creates the next key of a client, and sets an end for the previous one.

use std::time::Duration;

use clap::Args;

use super::book::{Around, Book};
use super::change::{NewKey, Reason};
use super::create::check_end;
use super::{change, is_alive, moment};
use crate::cli::edit::PathStep;
use crate::cli::{Exit, Failure, Printed, ToolOutcome, clock};
use crate::config::client::{ClientKey, ClientSettings};
use crate::policy::credentials::api_key::environment_of;

/// The options of `keys rotate`.
#[derive(Args)]
pub struct KeysRotateOptions {
    /// A gateway.yaml or a document of clients; the file is changed
    #[arg(value_name = "FILE")]
    file: String,
    /// The client, by its id
    #[arg(long, value_name = "ID")]
    client: String,
    /// The key to replace, by its id or prefix; required if several keys are valid
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// How long the replaced key stays valid beside the new one
    #[arg(long, value_name = "SPAN", default_value = "7d", value_parser = clock::parse_span)]
    overlap: Duration,
    /// When the new key ends: 2026-03-01T10:00:00Z, seconds since 1970, or a time from now such as 90d
    #[arg(long, value_name = "TIME", value_parser = clock::parse_end)]
    expires: Duration,
    #[command(flatten)]
    reason: Reason,
    #[command(flatten)]
    around: Around,
}

/// Rotates the key.
pub fn run(options: &KeysRotateOptions) -> Result<ToolOutcome, Failure> {
    let now = clock::now();
    check_end(options.expires, now)?;
    let (book, mut trail, author) = options.reason.open(&options.around, &options.file)?;
    let (client_at, key_at, client, old) = chosen(&book, options, now)?;
    let environment = environment_of(&old.prefix).unwrap_or_default();
    let key = NewKey::generate(environment)?;
    let end = old.period.expires.into_iter().chain([now + options.overlap]).min().unwrap_or(now);
    let record = key.record(moment(now), moment(options.expires), &author);
    let more =
        vec![("expires", moment(options.expires)), ("replaces", old.prefix.clone()), ("replaces_until", moment(end))];
    let deed = author.deed("rotate", &client.id.value, (&key.lookup, &key.prefix), more);
    let of_client = [PathStep::Key("clients"), PathStep::Item(client_at)];
    let of_key = [PathStep::Key("clients"), PathStep::Item(client_at), PathStep::Key("keys"), PathStep::Item(key_at)];
    change::make(&book, &options.around, &mut trail, &deed, now, |draft| {
        draft.set(&of_key, "expires", &moment(end))?;
        draft.push(&of_client, "keys", &record)
    })?;
    let mut notes = vec![format!(
        "{}: client `{}` has the key {}, until {}; its key {} ends at {}",
        options.file,
        client.id.value,
        key.prefix,
        moment(options.expires),
        old.prefix,
        moment(end)
    )];
    notes.extend(book.notes.iter().cloned().chain(trail.fault));
    Ok(ToolOutcome { result: Printed::line(key.secret), notes, exit: Exit::Success })
}

/// The named key, or the only valid one.
fn chosen<'b>(
    book: &'b Book,
    options: &KeysRotateOptions,
    now: Duration,
) -> Result<(usize, usize, &'b ClientSettings, &'b ClientKey), Failure> {
    if let Some(name) = &options.key {
        let found = book.key(Some(&options.client), name)?;
        return match is_alive(found.3, now) {
            true => Ok(found),
            false => Err(Failure::Message(format!("{}: key `{name}` does not hold any more: use `create`", book.file))),
        };
    }
    let (at, client) = book.client(&options.client)?;
    let alive: Vec<_> = client.keys.iter().enumerate().filter(|(_, key)| is_alive(key, now)).collect();
    match alive.as_slice() {
        [(key_at, key)] => Ok((at, *key_at, client, key)),
        [] => Err(Failure::Message(format!(
            "{}: client `{}` has no key that holds: use `create`",
            book.file, options.client
        ))),
        several => {
            let names: Vec<_> = several.iter().map(|(_, key)| key.prefix.as_str()).collect();
            Err(Failure::Message(format!("--key is needed: which one is to end? ({})", names.join(", "))))
        }
    }
}
