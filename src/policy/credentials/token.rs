//! Parses a JWS in compact form strictly: three parts, no padding, no duplicate members, no critical extensions.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::algorithm::Algorithm;
use crate::policy::verdict::rejection::{Rejection, RejectionKind};
use crate::strict_json;

/// A parsed token whose signature is not verified yet.
#[derive(Debug)]
pub struct UnverifiedToken<'t> {
    /// The algorithm in the token's header. The issuer and the key decide whether the algorithm is accepted.
    pub algorithm: Algorithm,
    /// The key id in the token's header.
    pub kid: Option<String>,
    /// The type in the token's header, in lower case and without `application/`.
    pub typ: Option<String>,
    /// The claims, which are not checked yet.
    pub claims: Value,
    /// The bytes that the signature covers (RFC 7515 §5.2).
    pub signing_input: &'t [u8],
    /// The signature, decoded from base64url.
    pub signature: Vec<u8>,
}

impl<'t> UnverifiedToken<'t> {
    /// Parses a token. The client gets the same error for every fault. Only the audit record contains the reason.
    pub fn read(token: &'t [u8]) -> Result<UnverifiedToken<'t>, Rejection> {
        let mut dots = token.iter().enumerate().filter(|(_, b)| **b == b'.').map(|(i, _)| i);
        let (Some(first), Some(second), None) = (dots.next(), dots.next(), dots.next()) else {
            return Err(invalid("token_not_three_parts"));
        };
        let (Some(signing_input), Some(header), Some(payload), Some(signature)) =
            (token.get(..second), token.get(..first), token.get(first + 1..second), token.get(second + 1..))
        else {
            return Err(invalid("token_not_three_parts"));
        };
        let header = decode_json(header, "token_header_malformed")?;
        let (algorithm, kid, typ) = read_header(&header)?;
        let claims = decode_json(payload, "token_claims_malformed")?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| invalid("token_signature_malformed"))?;
        Ok(UnverifiedToken { algorithm, kid, typ, claims, signing_input, signature })
    }
}

/// Reads the relevant header parameters. `jku`, `x5u`, `jwk` and `x5c` are ignored, because a token must not select keys outside
/// the configured key sets.
fn read_header(header: &Value) -> Result<(Algorithm, Option<String>, Option<String>), Rejection> {
    let text = |name: &str, fault| match header.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(invalid(fault)),
    };
    // A token with an unsupported critical extension is invalid (RFC 7515 §4.1.11). This parser supports no critical extensions.
    if header.get("crit").is_some() {
        return Err(invalid("token_crit_not_understood"));
    }
    // A nested token (RFC 7519 §5.2) would contain claims that this parser does not check.
    if header.get("cty").is_some() {
        return Err(invalid("token_nested"));
    }
    let name = text("alg", "token_algorithm_unknown")?.unwrap_or_default();
    let algorithm = Algorithm::from_name(&name).ok_or_else(|| invalid("token_algorithm_unknown"))?;
    let kid = text("kid", "token_kid_malformed")?;
    if kid.as_ref().is_some_and(|kid| kid.len() > MAX_KID_BYTES) {
        return Err(invalid("token_kid_malformed"));
    }
    let typ = text("typ", "token_type_malformed")?.map(|typ| plain_type(&typ));
    Ok((algorithm, kid, typ))
}

/// Normalizes a media type in `typ`: removes `application/` and converts to lower case (RFC 7515 §4.1.9).
pub fn plain_type(typ: &str) -> String {
    let lower = typ.to_ascii_lowercase();
    lower.strip_prefix("application/").map(str::to_string).unwrap_or(lower)
}

fn decode_json(part: &[u8], fault: &'static str) -> Result<Value, Rejection> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| invalid(fault))?;
    let value = strict_json::parse(&bytes).map_err(|_| invalid(fault))?;
    if value.is_object() { Ok(value) } else { Err(invalid(fault)) }
}

fn invalid(reason: &'static str) -> Rejection {
    Rejection::new(RejectionKind::InvalidToken, reason)
}

const MAX_KID_BYTES: usize = 1_024;
