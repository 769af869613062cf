//! Keeps tokens and keys of a query out of access logs and traces, which read `:path` when the request ends, however it ends.

use std::rc::Rc;

use super::exchange::Exchange;
use super::host::{self, Map};
use super::root::Gateway;
use crate::policy::decision::{Decision, HeaderEdit};

impl Exchange {
    /// The client's own target while `:path` is another.
    pub(super) fn own_target(&self) -> Option<Rc<[u8]>> {
        self.target.borrow().clone()
    }

    /// Takes tokens and keys out of `:path` unless the request is forwarded now. Envoy may end a held request without asking the
    /// filter: the client leaves, or time is up.
    pub(super) fn hide_query_secrets(&self, gateway: &Gateway, decision: &Decision, headers: &[(&[u8], &[u8])]) {
        if matches!(decision, Decision::Forward(_)) || self.target.borrow().is_some() {
            return;
        }
        let Some((_, target)) = headers.iter().find(|(name, _)| *name == PATH.as_bytes()) else { return };
        if let Some(cleaned) = gateway.policy.without_query_secrets(target) {
            host::set_header(Map::Request, PATH, &cleaned);
            self.target.replace(Some(Rc::from(*target)));
        }
    }

    /// Gives a forwarded request its own target back, unless its edits set another. Routes with `forward_token` need it.
    pub(super) fn restore_target(&self, edits: &[HeaderEdit]) {
        let Some(target) = self.target.take() else { return };
        if !edits.iter().any(|edit| matches!(edit, HeaderEdit::Set(name, _) if name.as_ref() == PATH)) {
            host::set_header(Map::Request, PATH, &target);
        }
    }
}

/// The headers with the client's own target in place of the one that hides its credentials.
pub(super) fn with_target<'h>(
    mut headers: Vec<(&'h [u8], &'h [u8])>,
    own: Option<&'h [u8]>,
) -> Vec<(&'h [u8], &'h [u8])> {
    let path = headers.iter_mut().find(|(name, _)| *name == PATH.as_bytes());
    if let (Some(own), Some((_, value))) = (own, path) {
        *value = own;
    }
    headers
}

const PATH: &str = ":path";
