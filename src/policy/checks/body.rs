//! What a body must look like: its size, and, where it is JSON, that it has one meaning, and how deep and how much it may be.

use std::rc::Rc;

use super::schema::{Misfit, Schema};
use crate::policy::verdict::rejection::{Finding, Kind, Rejection};
use crate::strict_json;
use crate::strict_json::{Bounds, Malformed};

/// What a body must look like.
#[derive(Debug)]
pub struct BodyCheck {
    /// The longest one.
    pub most_bytes: u64,
    /// What it must be when its type says that it is JSON.
    pub json: Option<JsonCheck>,
}

/// What a JSON body must be.
#[derive(Debug)]
pub struct JsonCheck {
    /// Whether there must be a body.
    pub required: bool,
    /// How deep, and how many values; looked at before the schema is.
    pub bounds: Bounds,
    /// Whether one object may have two members whose names differ only in case.
    pub case_variants: bool,
    /// What the schema says of it.
    pub schema: Option<Rc<Schema>>,
}

/// What has arrived of a body.
#[derive(Clone, Copy, Debug)]
pub enum Body<'b> {
    /// All of it.
    Whole(&'b [u8]),
    /// More than it may be.
    TooLarge,
    /// Its end, and nobody can read it any more.
    Lost,
    /// Some of it, and the proxy shows none.
    Withheld,
    /// Some of it, and the worker holds too many bytes already.
    Crowded,
}

impl BodyCheck {
    /// Whether the request must have a body.
    pub fn is_required(&self) -> bool {
        self.json.as_ref().is_some_and(|json| json.required)
    }

    /// Judges a body; one whose type says that it is JSON when `is_json`.
    pub fn judge(&self, body: Body<'_>, is_json: bool) -> Result<(), Rejection> {
        match (body, self.json.as_ref().filter(|_| is_json)) {
            (Body::TooLarge, _) => Err(too_large()),
            (Body::Lost, _) => Err(Rejection::new(Kind::Internal, "body_lost")),
            (Body::Withheld, _) => Err(Rejection::new(Kind::Internal, "body_withheld")),
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
            let finding = Finding::new("/body", "names two members of one object that differ only in case");
            return Err(Rejection::invalid("body_case_variants", vec![finding]));
        }
        let judged = self.schema.as_ref().map_or(Ok(()), |schema| schema.judge(&value, "/body"));
        judged.map_err(|misfit| match misfit {
            Misfit::Findings(findings) => Rejection::unprocessable("body_not_as_schema", findings),
            Misfit::TooComplex => {
                let finding = Finding::new("/body", "is too complex to be checked");
                Rejection::unprocessable("body_too_complex", vec![finding])
            }
        })
    }

    /// RFC 9110 §15.5.21: 422 is for what could be read and cannot be taken, 400 for what could not be read.
    fn refusal(&self, fault: &Malformed) -> Rejection {
        let (reason, message) = match fault {
            Malformed::OutOfRange => ("body_number_out_of_range", "has a number out of range"),
            Malformed::LoneSurrogate => ("body_lone_surrogate", "has half of a surrogate pair"),
            Malformed::Syntax => ("body_not_json", "must be JSON"),
            Malformed::NotUtf8 => ("body_not_utf8", "must be UTF-8"),
            Malformed::DuplicateMember(_) => ("body_member_repeated", "names a member twice in one object"),
            Malformed::TooDeep => {
                let message = format!("must not nest deeper than {} levels", self.bounds.depth);
                return Rejection::unprocessable("body_too_deep", vec![Finding::new("/body", message)]);
            }
            Malformed::TooMany => {
                let message = format!("must not hold more than {} values", self.bounds.values);
                return Rejection::unprocessable("body_too_many_values", vec![Finding::new("/body", message)]);
            }
        };
        Rejection::invalid(reason, vec![Finding::new("/body", message)])
    }
}

/// The refusal of a request that may not be held back, because its worker holds too many bytes already.
pub(in crate::policy) fn crowded() -> Rejection {
    Rejection::new(Kind::Overloaded, "held_bytes_exceeded")
}

/// The refusal of a body that is too large, found early or late.
pub(super) fn too_large() -> Rejection {
    Rejection::new(Kind::PayloadTooLarge, "body_too_large")
}
