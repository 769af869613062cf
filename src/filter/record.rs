//! The audit record of one request on its way: where it is kept, and what is added to it after the decision.

use proxy_wasm::types::LogLevel;

use super::exchange::Exchange;
use super::host;
use super::request_id::known_id;
use super::root::Gateway;
use crate::config::document::Audit;
use crate::policy::checks::meter::Remark;

impl Exchange {
    /// Keeps the record where the operator wants it: in the filter state for the access log, or here until the end.
    pub(super) fn note(&self, gateway: &Gateway, record: String) {
        if gateway.policy.audit() == Audit::AccessLog {
            host::set_filter_state("portcullis", record.as_bytes());
        }
        self.record.replace(record);
    }

    /// Adds to the record of a forwarded request that Envoy failed to forward it, and why in Envoy's own words.
    pub(super) fn note_failure(&self, gateway: &Gateway, code: &str, details: &str) {
        let mut record = self.record.take();
        if record.pop().is_none() {
            record = undecided(&self.plan.borrow().request_id);
        }
        record.push_str(&format!(",\"code\":\"{code}\",\"failure\":\""));
        crate::policy::audit::escape(&mut record, details);
        record.push_str("\"}");
        self.note(gateway, record);
    }

    /// Adds to the record of a forwarded request what was found out about its body.
    pub(super) fn note_remark(&self, gateway: &Gateway, remark: Remark) {
        let member = match remark {
            Remark::WouldRefuse(reason) => format!(",\"would_refuse\":\"{reason}\"}}"),
            Remark::NotInspected(reason) => format!(",\"not_inspected\":\"{reason}\"}}"),
        };
        let mut record = self.record.take();
        if record.pop().is_some() {
            record.push_str(&member);
            self.note(gateway, record);
        }
    }

    /// Writes the record and adds the response status and the duration, which are known only at the end of the request.
    pub(super) fn write_record(&self) {
        let mut record = self.record.take();
        if record.pop().is_none() {
            record = undecided(&known_id());
        }
        if let Some(status) = host::number("response\0code") {
            record.push_str(&format!(",\"status\":{status}"));
        }
        if let Some(details) = host::property(DETAILS).filter(|d| !d.is_empty()) {
            record.push_str(",\"details\":\"");
            crate::policy::audit::escape(&mut record, &String::from_utf8_lossy(&details));
            record.push('"');
        }
        if let Some(nanos) = host::number("request\0duration") {
            record.push_str(&format!(",\"duration_ms\":{}", nanos / 1_000_000));
        }
        record.push('}');
        host::log(LogLevel::Info, &record);
    }
}

/// The start of a record of a request that Envoy ended before it was decided: malformed, too slow, or the client left
/// (envoy-facts §2.6).
fn undecided(id: &str) -> String {
    let mut record = "{\"request_id\":\"".to_string();
    crate::policy::audit::escape(&mut record, id);
    record.push_str("\",\"decision\":\"deny\",\"reason\":\"ended_before_decision\"");
    record
}

/// Why the response is what it is, in Envoy's own words; nothing while there is none.
pub(super) const DETAILS: &str = "response\0code_details";
