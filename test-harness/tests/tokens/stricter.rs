//! Lists all reasons to refuse a token that jose accepts, each with the clause that allows or requires the refusal.

/// A reason to refuse a token that jose accepts.
#[derive(Debug)]
pub struct Stricter {
    /// The possible reasons in the audit record.
    reasons: &'static [&'static str],
    /// The name of the anomaly that the token must have, as in `variety.rs` and `variety/changes.rs`.
    odd: &'static str,
    /// The explanation, with the clause that allows or requires the refusal.
    #[expect(dead_code, reason = "explains the entry to readers, and is printed with it")]
    because: &'static str,
}

impl Stricter {
    /// Returns whether this entry explains why the gateway refused a token with these anomalies.
    pub fn covers(&self, reason: &str, odd: &[&str]) -> bool {
        self.reasons.contains(&reason) && odd.contains(&self.odd)
    }
}

const fn row(reasons: &'static [&'static str], odd: &'static str, because: &'static str) -> Stricter {
    Stricter { reasons, odd, because }
}

const MALFORMED: &[&str] = &["token_header_malformed", "token_claims_malformed", "token_signature_malformed"];
const CLAIMS: &[&str] = &["token_claims_malformed"];

/// All entries. The test fails if an entry explains the refusal of no token.
pub const STRICTER: &[Stricter] = &[
    row(MALFORMED, "a member twice", "parsers choose different members (RFC 7515 §4, RFC 7519 §4)"),
    row(MALFORMED, "stray bits", "bytes must have only one encoding (RFC 4648 §3.5, RFC 7515 §2)"),
    row(&["malformed_authorization"], "padding", "a JWS has no padding (RFC 7515 §2, RFC 6750 §2.1)"),
    row(MALFORMED, "padding", "a JWS has no padding (RFC 7515 §2)"),
    row(&["malformed_authorization"], "a blank", "a token has no blanks (RFC 7515 §2, RFC 6750 §2.1)"),
    row(MALFORMED, "a byte order mark", "JSON must not start with one (RFC 8259 §8.1)"),
    row(MALFORMED, "a lone surrogate", "it is not a character (RFC 8259 §8.2, RFC 7493 §2.1)"),
    row(MALFORMED, "a number beyond a double", "parsers read different values (RFC 8259 §6, RFC 7493 §2.2)"),
    row(MALFORMED, "nested deeply", "a parser may limit the depth (RFC 8259 §9)"),
    row(CLAIMS, "a time beyond a double", "parsers read different values (RFC 8259 §6)"),
    row(&["token_time_malformed"], "a time beyond 9999", "RFC 3339 §5.6 has no such date"),
    row(&["token_time_malformed"], "a time before 1970", "times are seconds since 1970 (RFC 7519 §2)"),
    row(&["token_without_expiry"], "no exp", "an access token must have one (RFC 9068 §2.2)"),
    row(&["token_not_yet_valid"], "issued in the future", "the token is not issued yet (RFC 7519 §4.1.6)"),
    row(&["token_crit_not_understood"], "crit", "the gateway supports no extension, not even `b64` (RFC 7515 §4.1.11)"),
    row(&["token_nested"], "cty", "the claims are in a nested token (RFC 7519 §5.2)"),
    row(&["token_kid_malformed"], "a kid that is no text", "it must be a string (RFC 7515 §4.1.4)"),
    row(&["token_type_malformed"], "a typ that is no text", "it must be a media type (RFC 7515 §4.1.9)"),
    row(&["token_type_not_accepted"], "a typ of its own", "the token is for another purpose (RFC 8725 §3.11)"),
    row(&["token_claim_malformed"], "an audience that is no text", "each audience must be a string (RFC 7519 §4.1.3)"),
    row(&["token_claim_malformed"], "a subject that is no text", "it must be a string (RFC 7519 §4.1.2)"),
    row(&["token_binding_not_supported"], "bound to a key", "the proof is missing (RFC 7800 §3.1, RFC 9449 §7.1)"),
    row(
        &["token_bound_certificate_missing", "token_binding_malformed"],
        "bound",
        "the certificate is missing (RFC 8705 §3)",
    ),
];
