//! Installs key sets, the revocation list and the document of clients as if the simulated gateway had fetched them.

use std::time::Duration;

use crate::cli::gateway::GatewayFile;
use crate::cli::{Failure, clients, fetched_document, gateway, revocation};
use crate::config::clients_from::USUAL_ENTRIES;
use crate::policy::compile::clients::ClientReader;
use crate::policy::credentials::clients::ReadClients;
use crate::policy::polled::{DocumentKind, Polled};
use crate::policy::verdict::wait::PolledId;

/// Installs the key set in this file for every issuer with `jwks`.
pub fn keys(polled: &mut Polled, file: &str, now: Duration) -> Result<(), Failure> {
    let text = gateway::read_whole(file)?;
    for id in ids_of_kind(polled, |what| matches!(what, DocumentKind::KeySet)) {
        polled.install(id, text.as_bytes(), now).map_err(|fault| format!("{file}: {fault}"))?;
    }
    Ok(())
}

/// Installs the revocation list in this file, or an empty list. Returns true if it installed the empty list.
pub fn revocations(
    polled: &mut Polled,
    gateway: &GatewayFile,
    file: Option<&str>,
    now: Duration,
) -> Result<bool, Failure> {
    let lists = ids_of_kind(polled, |what| matches!(what, DocumentKind::Revocations { .. }));
    let check = |file: &str, text: &str| {
        let node = fetched_document::read(file, text, revocation::BOUNDS)?;
        revocation::read(Some(&gateway.document), file, &node, now).map(drop)
    };
    install(polled, &lists, file, check, r#"{"version":"1.0","revoked":[]}"#, now)
}

/// Installs the document of clients in this file, or an empty document. Returns true if it installed the empty document.
pub fn clients(
    polled: &mut Polled,
    gateway: &GatewayFile,
    name: &str,
    file: Option<&str>,
    now: Duration,
) -> Result<bool, Failure> {
    let documents = ids_of_kind(polled, |what| matches!(what, DocumentKind::Clients(_)));
    let check = |file: &str, text: &str| {
        let most = gateway.policy.client_reader().map_or(USUAL_ENTRIES, ReadClients::most_entries);
        let node = fetched_document::read(file, text, ClientReader::bounds_of(most))?;
        clients::check_for(gateway, name, file, &node)
    };
    install(polled, &documents, file, check, NO_CLIENTS, now)
}

/// Installs the document of clients in this string, or an empty document.
pub fn client_text(polled: &mut Polled, text: Option<&str>, now: Duration) -> Result<(), Failure> {
    for id in ids_of_kind(polled, |what| matches!(what, DocumentKind::Clients(_))) {
        polled
            .install(id, text.unwrap_or(NO_CLIENTS).as_bytes(), now)
            .map_err(|fault| format!("the document of clients is not valid: {fault}"))?;
    }
    Ok(())
}

/// Installs the content of `file` for these polled documents, or `empty` without a file. Returns true if it installed `empty`.
/// First calls `check` with the name and the content of `file`, because the errors of `check` contain the locations of problems.
fn install(
    polled: &mut Polled,
    documents: &[PolledId],
    file: Option<&str>,
    check: impl FnOnce(&str, &str) -> Result<(), Failure>,
    empty: &str,
    now: Duration,
) -> Result<bool, Failure> {
    let text = file.map(gateway::read_whole).transpose()?;
    if let (Some(file), Some(text), false) = (file, &text, documents.is_empty()) {
        check(file, text)?;
    }
    for id in documents {
        let fault = polled.install(*id, text.as_deref().unwrap_or(empty).as_bytes(), now).err();
        fault.map_or(Ok(()), |fault| Err(format!("{}: {fault}", file.unwrap_or_default())))?;
    }
    Ok(file.is_none() && !documents.is_empty())
}

/// Returns the ids of the polled documents of one kind.
pub fn ids_of_kind(polled: &Polled, is_wanted: impl Fn(&DocumentKind) -> bool) -> Vec<PolledId> {
    polled.plans().filter(|(_, plan)| is_wanted(&plan.what)).map(|(id, _)| id).collect()
}

const NO_CLIENTS: &str = r#"{"version":"1.0","clients":[]}"#;
