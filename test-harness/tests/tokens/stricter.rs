//! Lists all reasons to refuse a token that jose accepts, each with the clause that allows or requires the refusal.

/// A reason to refuse a token that jose accepts.
#[derive(Debug)]
pub struct Stricter {
    /// The possible reasons in the audit record.
    reasons: &'static [&'static str],
    /// The anomaly that the token must have. This is one of the anomaly names that the token generator reports.
    odd: &'static str,
    /// The explanation, with the clause that allows or requires the refusal.
    #[expect(dead_code, reason = "read by people, and printed with the row")]
    because: &'static str,
}

impl Stricter {
    /// Returns whether this entry explains why the gateway refused a token with these oddities.
    pub fn covers(&self, reason: &str, odd: &[&str]) -> bool {
        self.reasons.contains(&reason) && odd.contains(&self.odd)
    }
}

const fn row(reasons: &'static [&'static str], odd: &'static str, because: &'static str) -> Stricter {
    Stricter { reasons, odd, because }
}

const MALFORMED: &[&str] = &["token_header_malformed", "token_claims_malformed", "token_signature_malformed"];
const CLAIMS: &[&str] = &["token_claims_malformed"];

/// All reasons. The test fails if a row is not needed for any token.
pub const STRICTER: &[Stricter] = &[
    row(MALFORMED, "a member twice", "two readers may take another one (RFC 7515 §4, RFC 7519 §4)"),
    row(MALFORMED, "stray bits", "one text for the same bytes (RFC 4648 §3.5, RFC 7515 §2)"),
    row(&["malformed_authorization"], "padding", "base64url has none in a JWS (RFC 7515 §2, RFC 6750 §2.1)"),
    row(MALFORMED, "padding", "base64url has none in a JWS (RFC 7515 §2)"),
    row(&["malformed_authorization"], "a blank", "no part of a token (RFC 7515 §2, RFC 6750 §2.1)"),
    row(MALFORMED, "a byte order mark", "no JSON text begins with one (RFC 8259 §8.1)"),
    row(MALFORMED, "a lone surrogate", "no character (RFC 8259 §8.2, RFC 7493 §2.1)"),
    row(MALFORMED, "a number beyond a double", "readers differ in what it is (RFC 8259 §6, RFC 7493 §2.2)"),
    row(MALFORMED, "nested deeply", "a reader may bound it (RFC 8259 §9)"),
    row(CLAIMS, "a time beyond a double", "no number that readers agree on (RFC 8259 §6)"),
    row(&["token_time_malformed"], "a time beyond 9999", "no date that RFC 3339 §5.6 can write"),
    row(&["token_time_malformed"], "a time before 1970", "seconds since then (RFC 7519 §2)"),
    row(&["token_without_expiry"], "no exp", "an access token must have one (RFC 9068 §2.2)"),
    row(&["token_not_yet_valid"], "issued in the future", "not issued then (RFC 7519 §4.1.6)"),
    row(&["token_crit_not_understood"], "crit", "no extension is understood, not `b64` either (RFC 7515 §4.1.11)"),
    row(&["token_nested"], "cty", "its claims are those of a token inside (RFC 7519 §5.2)"),
    row(&["token_kid_malformed"], "a kid that is no text", "must be one (RFC 7515 §4.1.4)"),
    row(&["token_type_malformed"], "a typ that is no text", "is a media type (RFC 7515 §4.1.9)"),
    row(&["token_type_not_accepted"], "a typ of its own", "made for another use (RFC 8725 §3.11)"),
    row(&["token_claim_malformed"], "an audience that is no text", "each audience is text (RFC 7519 §4.1.3)"),
    row(&["token_claim_malformed"], "a subject that is no text", "must be one (RFC 7519 §4.1.2)"),
    row(&["token_binding_not_supported"], "bound to a key", "no use without its proof (RFC 7800 §3.1, RFC 9449 §7.1)"),
    row(&["token_bound_certificate_missing", "token_binding_malformed"], "bound", "no use without (RFC 8705 §3)"),
];
