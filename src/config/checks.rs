//! Reads `checks`: limits on the size of a request, and rules for its parameters and its body.

use super::node::{Node, Value};
use super::problem::{At, Place};
use super::reader::Field;
use super::schema::SchemaSetting;
use crate::strict_json::number::Number;

/// Rules for requests. `None` means that the check is disabled.
#[derive(Clone, Debug, Default)]
pub struct CheckSettings {
    /// Whether a failed check refuses the request or is only logged.
    pub mode: Option<CheckMode>,
    /// The maximum length of the request target (path and query), in bytes.
    pub max_url_bytes: Option<At<u64>>,
    /// The maximum total size of header names and values, in bytes.
    pub max_header_bytes: Option<At<u64>>,
    /// The maximum number of header lines.
    pub max_headers: Option<At<u64>>,
    /// The maximum body size in bytes.
    pub max_body_bytes: Option<At<u64>>,
    /// Accepted media types of bodies: `application/json`, `image/*`, `application/*+json`.
    pub content_types: Option<Vec<At<String>>>,
    /// Rules for query parameters.
    pub query: Option<Vec<ParameterSettings>>,
    /// Whether query parameters without a rule in `query` are allowed.
    pub other_query: Option<bool>,
    /// Rules for headers.
    pub headers: Option<Vec<ParameterSettings>>,
    /// Rules for a JSON body.
    pub json: Option<JsonBody>,
    /// The location of the section in the document.
    pub place: Place,
}

/// The effect of a failed check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckMode {
    /// The request is refused.
    Enforce,
    /// The request is forwarded. The audit record reports that the request would have been refused.
    Log,
}

/// The rules for one query parameter or one header.
#[derive(Clone, Debug)]
pub struct ParameterSettings {
    /// The name of the parameter or header.
    pub name: At<String>,
    /// The required type of the value.
    pub kind: ParameterType,
    /// Whether the parameter must be present.
    pub required: bool,
    /// Whether the parameter may appear more than once.
    pub repeat: bool,
    /// The minimum value of a number.
    pub min: Option<At<Number<'static>>>,
    /// The maximum value of a number.
    pub max: Option<At<Number<'static>>>,
    /// The minimum length in characters.
    pub min_length: Option<u64>,
    /// The maximum length in characters.
    pub max_length: Option<u64>,
    /// The accepted values.
    pub one_of: Option<Vec<String>>,
}

/// The type of a parameter's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterType {
    /// Any string.
    Text,
    /// An integer in JSON syntax.
    Integer,
    /// A number in JSON syntax.
    Number,
    /// `true` or `false`.
    Boolean,
}

/// Rules for a JSON body.
#[derive(Clone, Debug)]
pub struct JsonBody {
    /// Whether the request must have a body.
    pub required: Option<bool>,
    /// The maximum nesting depth of arrays and objects.
    pub max_depth: Option<u64>,
    /// The maximum number of JSON values: members, items and the body itself.
    pub max_values: Option<u64>,
    /// Whether an object may have two members whose names differ only in case.
    pub case_variants: Option<bool>,
    /// The schema that the body must match.
    pub schema: Option<SchemaSetting>,
}

impl CheckSettings {
    /// Reads the `checks` section of the document or of a route.
    pub(super) fn read(field: &Field<'_>) -> Option<CheckSettings> {
        let fields = field.fields()?;
        let number = |key, most| {
            let field = fields.get(key)?;
            Some(At { value: field.number(0, most)?, place: field.place })
        };
        let checks = CheckSettings {
            mode: fields.get("mode").and_then(|f| f.word(&[("enforce", CheckMode::Enforce), ("log", CheckMode::Log)])),
            max_url_bytes: number("max_url_bytes", MAX_URL_BYTES),
            max_header_bytes: number("max_header_bytes", MAX_HEADER_BYTES),
            max_headers: number("max_headers", MAX_HEADERS),
            max_body_bytes: number("max_body_bytes", MAX_BODY_BYTES),
            content_types: fields.get("content_types").map(|f| f.texts()),
            query: fields.get("query").map(|f| ParameterSettings::read_all(&f)),
            other_query: fields.get("other_query").and_then(|f| f.word(&[("allow", true), ("refuse", false)])),
            headers: fields.get("headers").map(|f| ParameterSettings::read_all(&f)),
            json: fields.get("json").and_then(|f| JsonBody::read(&f)),
            place: fields.place().clone(),
        };
        fields.finish();
        Some(checks)
    }

    /// Reads the `checks` of a route; `false` disables all checks.
    pub(super) fn setting(field: &Field<'_>) -> Option<Option<CheckSettings>> {
        match field.node.value {
            Value::Bool(false) => Some(None),
            Value::Bool(true) => {
                field.problem("expected checks or `false`; without `checks`, the document's checks apply");
                None
            }
            _ => CheckSettings::read(field).map(Some),
        }
    }
}

impl ParameterSettings {
    fn read_all(field: &Field<'_>) -> Vec<ParameterSettings> {
        field.entries().into_iter().filter_map(|(name, value)| ParameterSettings::read(name, &value)).collect()
    }

    fn read(name: At<String>, field: &Field<'_>) -> Option<ParameterSettings> {
        let fields = field.fields()?;
        let flag = |key| fields.get(key).and_then(|f| f.flag()).unwrap_or(false);
        let bound = |key| fields.get(key).and_then(|f| bound(&f));
        let length = |key| fields.get(key).and_then(|f| f.number(0, MAX_URL_BYTES));
        let parameter = ParameterSettings {
            name,
            kind: fields.get("type").and_then(|f| f.word(&TYPES)).unwrap_or(ParameterType::Text),
            required: flag("required"),
            repeat: flag("repeat"),
            min: bound("min"),
            max: bound("max"),
            min_length: length("min_length"),
            max_length: length("max_length"),
            one_of: fields.get("enum").map(|f| f.one_or_more().iter().filter_map(scalar).collect()),
        };
        fields.finish();
        Some(parameter)
    }
}

impl JsonBody {
    fn read(field: &Field<'_>) -> Option<JsonBody> {
        let fields = field.fields()?;
        let number = |key, least, most| fields.get(key).and_then(|f| f.number(least, most));
        let body = JsonBody {
            required: fields.get("required").and_then(|f| f.flag()),
            max_depth: number("max_depth", 0, MAX_DEPTH),
            max_values: number("max_values", 1, MAX_VALUES),
            case_variants: fields.get("case_variants").and_then(|f| f.word(&[("allow", true), ("refuse", false)])),
            schema: fields.get("schema").and_then(|f| SchemaSetting::read(&f)),
        };
        fields.finish();
        Some(body)
    }
}

fn bound(field: &Field<'_>) -> Option<At<Number<'static>>> {
    let Value::Number(number) = &field.node.value else {
        field.problem(format!("expected a number, found {}", field.node.kind()));
        return None;
    };
    Some(At { value: number.into(), place: field.place.clone() })
}

/// Returns the string form of a value, as it appears in a query or a header.
fn scalar(field: &Field<'_>) -> Option<String> {
    match &field.node.value {
        Value::Text(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(Node::to_json(field.node).to_string()),
        _ => {
            field.problem(format!("expected text, a number, true or false, found {}", field.node.kind()));
            None
        }
    }
}

const TYPES: [(&str, ParameterType); 4] = [
    ("text", ParameterType::Text),
    ("integer", ParameterType::Integer),
    ("number", ParameterType::Number),
    ("boolean", ParameterType::Boolean),
];

/// The largest limits that a document can set. The guard refuses longer request targets before routing, and Envoy accepts at
/// most 8 MiB of headers.
const MAX_URL_BYTES: u64 = 65_536;
const MAX_HEADER_BYTES: u64 = 8 << 20;
const MAX_HEADERS: u64 = 1_024;
/// Envoy keeps held bodies in memory, so a larger limit would be dangerous.
const MAX_BODY_BYTES: u64 = 64 << 20;
/// The nesting limit of the JSON reader (`strict_json::parse_to_depth`).
const MAX_DEPTH: u64 = 127;
/// While a body is parsed, each value takes up to 420 bytes of filter memory. An object with one member takes the most, because
/// it has its own map node.
const MAX_VALUES: u64 = 1_000_000;
