//! Checks the size of bodies, and for JSON also the depth, the number of values, the schema, and ambiguous content.

use std::sync::Arc;

use crate::policy::verdict::rejection::{Finding, Rejection, RejectionKind};
use crate::strict_json;
use crate::strict_json::schema::{Schema, SchemaFinding, ValidationError};
use crate::strict_json::{Bounds, Malformed};

/// The checks for the body of a request.
#[derive(Debug)]
pub struct BodyCheck {
    /// The maximum size in bytes.
    pub most_bytes: u64,
    /// The additional checks for a JSON body; `None` if bodies are not parsed.
    pub json: Option<JsonCheck>,
}

/// The checks for a JSON body.
#[derive(Debug)]
pub struct JsonCheck {
    /// Whether the request must have a body.
    pub required: bool,
    /// The maximum depth and number of values, checked before the schema.
    pub bounds: Bounds,
    /// Whether an object may have two members whose names differ only in case.
    pub case_variants: bool,
    /// The schema that the body must match; `None` if any JSON is accepted.
    pub schema: Option<Arc<Schema>>,
}

/// A received body, or the reason why the filter cannot check it.
#[derive(Clone, Copy, Debug)]
pub enum Body<'b> {
    /// The whole body.
    Whole(&'b [u8]),
    /// The body exceeds the maximum size.
    TooLarge,
    /// The body has ended, but its bytes cannot be read.
    Lost,
    /// Envoy has bytes of the body but does not pass them to the filter.
    Withheld,
    /// The body is incomplete, because the held bytes of this worker exceed their bound.
    Crowded,
}

impl<'b> Body<'b> {
    /// Returns the held body. `size` is its size as the proxy reports it. If the proxy returned fewer or more `bytes`, returns
    /// [`Body::Lost`].
    pub fn held(bytes: &'b [u8], size: usize) -> Body<'b> {
        if bytes.len() == size { Body::Whole(bytes) } else { Body::Lost }
    }
}

impl BodyCheck {
    /// Returns `true` if the request must have a body.
    pub fn is_required(&self) -> bool {
        self.json.as_ref().is_some_and(|json| json.required)
    }

    /// Checks a body. `is_json` means that the content type of the body is JSON.
    pub fn judge(&self, body: Body<'_>, is_json: bool) -> Result<(), Rejection> {
        match (body, self.json.as_ref().filter(|_| is_json)) {
            (Body::TooLarge, _) => Err(too_large()),
            (Body::Lost, _) => Err(Rejection::new(RejectionKind::Internal, "body_lost")),
            (Body::Withheld, _) => Err(Rejection::new(RejectionKind::Internal, "body_withheld")),
            (Body::Crowded, _) => Err(crowded()),
            (Body::Whole(bytes), _) if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > self.most_bytes => {
                Err(too_large())
            }
            (Body::Whole(bytes), Some(json)) => json.judge(bytes),
            (Body::Whole(_), None) => Ok(()),
        }
    }
}

impl JsonCheck {
    fn judge(&self, bytes: &[u8]) -> Result<(), Rejection> {
        if bytes.is_empty() && !self.required {
            return Ok(());
        }
        let value = strict_json::read(bytes, self.bounds).map_err(|fault| self.refusal(&fault))?;
        if !self.case_variants && value.has_case_variants() {
            let finding = Finding::new("/body", "has an object with two member names that differ only in case");
            return Err(Rejection::invalid("body_case_variants", vec![finding]));
        }
        let judged = self.schema.as_ref().map_or(Ok(()), |schema| schema.judge(&value, "/body"));
        judged.map_err(|error| match error {
            ValidationError::Findings(findings) => {
                let findings =
                    findings.into_iter().map(|SchemaFinding { pointer, message }| Finding { pointer, message });
                Rejection::unprocessable("body_not_as_schema", findings.collect())
            }
            ValidationError::TooComplex => {
                let finding = Finding::new("/body", "is too complex to be checked");
                Rejection::unprocessable("body_too_complex", vec![finding])
            }
        })
    }

    /// Returns the refusal for a JSON body. The status is 400 for a body that cannot be parsed, and 422 for a body that exceeds
    /// the bounds on depth or values (RFC 9110 §15.5.21).
    fn refusal(&self, fault: &Malformed) -> Rejection {
        let (reason, message) = match fault {
            Malformed::OutOfRange => ("body_number_out_of_range", "has a number out of range"),
            Malformed::LoneSurrogate => ("body_lone_surrogate", "has half of a surrogate pair"),
            Malformed::Syntax => ("body_not_json", "must be JSON"),
            Malformed::NotUtf8 => ("body_not_utf8", "must be UTF-8"),
            Malformed::DuplicateMember(_) => ("body_member_repeated", "has an object with a repeated member name"),
            Malformed::TooDeep => {
                let message = format!("must not nest deeper than {} levels", self.bounds.depth);
                return Rejection::unprocessable("body_too_deep", vec![Finding::new("/body", message)]);
            }
            Malformed::TooMany => {
                let message = format!("must not contain more than {} values", self.bounds.values);
                return Rejection::unprocessable("body_too_many_values", vec![Finding::new("/body", message)]);
            }
        };
        Rejection::invalid(reason, vec![Finding::new("/body", message)])
    }
}

/// Returns the refusal for a request that cannot be held because the held bytes of this worker exceed their bound.
pub fn crowded() -> Rejection {
    Rejection::new(RejectionKind::Overloaded, "held_bytes_exceeded")
}

/// Returns the refusal for a body that is too large.
pub(super) fn too_large() -> Rejection {
    Rejection::new(RejectionKind::PayloadTooLarge, "body_too_large")
}
