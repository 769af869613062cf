//! The content of polled documents while one request is explained: key sets, the revocation list and the clients.

use std::time::Duration;

use crate::cli::gateway::GatewayFile;
use crate::cli::{Failure, clients, fetched, gateway, revocation};
use crate::config::clients_from::USUAL_ENTRIES;
use crate::policy::compile::clients::ClientReader;
use crate::policy::credentials::clients::ReadClients;
use crate::policy::polled::{Polled, What};
use crate::policy::verdict::wait::PolledId;

/// Gives every remote issuer the key set of this file.
pub fn keys(polled: &mut Polled, file: &str, now: Duration) -> Result<(), Failure> {
    let text = gateway::read_whole(file)?;
    for id in those(polled, |what| matches!(what, What::KeySet)) {
        polled.install(id, text.as_bytes(), now).map_err(|fault| format!("{file}: {fault}"))?;
    }
    Ok(())
}

/// Installs the revocation list of this file, or an empty one. Returns true if it installed the empty one.
pub fn revocations(
    polled: &mut Polled,
    gateway: &GatewayFile,
    file: Option<&str>,
    now: Duration,
) -> Result<bool, Failure> {
    let lists = those(polled, |what| matches!(what, What::Revocations { .. }));
    let check = |file: &str, text: &str| {
        let node = fetched::read(file, text, revocation::BOUNDS)?;
        revocation::read(Some(&gateway.document), file, &node, now).map(drop)
    };
    suppose(polled, &lists, file, check, r#"{"version":"1.0","revoked":[]}"#, now)
}

/// Installs the document of clients of this file, or an empty one. Returns true if it installed the empty one.
pub fn clients(
    polled: &mut Polled,
    gateway: &GatewayFile,
    name: &str,
    file: Option<&str>,
    now: Duration,
) -> Result<bool, Failure> {
    let documents = those(polled, |what| matches!(what, What::Clients(_)));
    let check = |file: &str, text: &str| {
        let most = gateway.policy.client_reader().map_or(USUAL_ENTRIES, ReadClients::most_entries);
        let node = fetched::read(file, text, ClientReader::bounds_of(most))?;
        clients::check_for(gateway, name, file, &node)
    };
    suppose(polled, &documents, file, check, NOBODY, now)
}

/// The same with a text instead of a file.
pub fn client_text(polled: &mut Polled, text: Option<&str>, now: Duration) -> Result<(), Failure> {
    for id in those(polled, |what| matches!(what, What::Clients(_))) {
        polled.install(id, text.unwrap_or(NOBODY).as_bytes(), now).map_err(|fault| format!("the clients: {fault}"))?;
    }
    Ok(())
}

/// Installs a document. Problems are reported in the same way as by the commands that check such documents.
fn suppose(
    polled: &mut Polled,
    documents: &[PolledId],
    file: Option<&str>,
    check: impl FnOnce(&str, &str) -> Result<(), Failure>,
    otherwise: &str,
    now: Duration,
) -> Result<bool, Failure> {
    let text = file.map(gateway::read_whole).transpose()?;
    if let (Some(file), Some(text), false) = (file, &text, documents.is_empty()) {
        check(file, text)?;
    }
    for id in documents {
        let fault = polled.install(*id, text.as_deref().unwrap_or(otherwise).as_bytes(), now).err();
        fault.map_or(Ok(()), |fault| Err(format!("{}: {fault}", file.unwrap_or_default())))?;
    }
    Ok(file.is_none() && !documents.is_empty())
}

/// The polled documents of a kind.
pub fn those(polled: &Polled, is_meant: impl Fn(&What) -> bool) -> Vec<PolledId> {
    polled.plans().filter(|(_, plan)| is_meant(&plan.what)).map(|(id, _)| id).collect()
}

const NOBODY: &str = r#"{"version":"1.0","clients":[]}"#;
