//! Reads `checks`: limits on the size of a request, and rules for its parameters and its body.

use super::node::{Node, Value};
use super::problem::{At, Place};
use super::reader::Field;
use super::schema::SchemaSetting;
use super::schema_keys::checks as key;
use super::schema_keys::{json_body, parameter};
use crate::strict_json::number::Number;

/// The `checks` section of the document or of a route. A field is `None` if the section does not contain the key. For a route,
/// the document's value then applies. If that is absent too, the default in `docs/configuration.md` applies.
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
    /// The maximum size of the body, in bytes.
    pub max_body_bytes: Option<At<u64>>,
    /// The accepted media types of bodies, such as `application/json`, `image/*` or `application/*+json`.
    pub content_types: Option<Vec<At<String>>>,
    /// The rules for query parameters. Each name, after percent-decoding, can have one rule.
    pub query: Option<Vec<ParameterSettings>>,
    /// Whether query parameters without a rule in `query` are allowed.
    pub other_query: Option<bool>,
    /// The rules for request headers, one for each header name.
    pub headers: Option<Vec<ParameterSettings>>,
    /// The rules for a JSON body.
    pub json: Option<JsonBody>,
    /// The location of the section in the document.
    pub place: Place,
}

/// The effect of a failed check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckMode {
    /// The request is refused.
    Enforce,
    /// The request is forwarded. The audit record contains the reason of the failed check as `would_refuse`.
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
    /// The smallest accepted number.
    pub min: Option<At<Number<'static>>>,
    /// The largest accepted number.
    pub max: Option<At<Number<'static>>>,
    /// The minimum length of a string, in characters.
    pub min_length: Option<u64>,
    /// The maximum length of a string, in characters.
    pub max_length: Option<u64>,
    /// The accepted values, compared as strings; `None` accepts every value.
    pub one_of: Option<Vec<String>>,
}

/// The type of a parameter's value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ParameterType {
    /// Any string.
    #[default]
    Text,
    /// An integer in JSON syntax.
    Integer,
    /// A number in JSON syntax.
    Number,
    /// `true` or `false`.
    Boolean,
}

/// The rules for a JSON body.
#[derive(Clone, Debug)]
pub struct JsonBody {
    /// Whether an empty body is refused.
    pub required: bool,
    /// The maximum nesting depth of arrays and objects.
    pub max_depth: usize,
    /// The maximum number of JSON values: members, items and the body itself.
    pub max_values: usize,
    /// Whether an object may have two members whose names differ only in case, such as `amount` and `Amount`.
    pub case_variants: bool,
    /// The schema that the body must match.
    pub schema: Option<SchemaSetting>,
}

impl CheckSettings {
    /// Reads the `checks` section of the document or of a route.
    pub(super) fn read(field: &Field<'_>) -> Option<CheckSettings> {
        let fields = field.fields()?;
        let checks = CheckSettings {
            mode: fields
                .get(key::MODE.name)
                .and_then(|f| f.word(&[("enforce", CheckMode::Enforce), ("log", CheckMode::Log)])),
            max_url_bytes: fields.number_if_set(&key::MAX_URL_BYTES),
            max_header_bytes: fields.number_if_set(&key::MAX_HEADER_BYTES),
            max_headers: fields.number_if_set(&key::MAX_HEADERS),
            max_body_bytes: fields.number_if_set(&key::MAX_BODY_BYTES),
            content_types: fields.get("content_types").map(|f| f.texts()),
            query: fields.get("query").map(|f| ParameterSettings::read_all(&f)),
            other_query: fields.get(key::OTHER_QUERY.name).and_then(|f| f.word(&[("allow", true), ("refuse", false)])),
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
                field.problem("expected a mapping of checks or `false`; to use the document's checks, omit `checks`");
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
        let bound = |key| fields.get(key).and_then(|f| bound(&f));
        let parameter = ParameterSettings {
            name,
            kind: fields.word(&parameter::TYPE, &TYPES),
            required: fields.flag(&parameter::REQUIRED),
            repeat: fields.flag(&parameter::REPEAT),
            min: bound("min"),
            max: bound("max"),
            min_length: fields.number_if_set(&parameter::MIN_LENGTH).map(|length| length.value),
            max_length: fields.number_if_set(&parameter::MAX_LENGTH).map(|length| length.value),
            one_of: fields.get("enum").map(|f| f.one_or_more().iter().filter_map(scalar).collect()),
        };
        fields.finish();
        Some(parameter)
    }
}

impl JsonBody {
    fn read(field: &Field<'_>) -> Option<JsonBody> {
        let fields = field.fields()?;
        let body = JsonBody {
            required: fields.flag(&json_body::REQUIRED),
            max_depth: fields.size(&json_body::MAX_DEPTH),
            max_values: fields.size(&json_body::MAX_VALUES),
            case_variants: fields.word(&json_body::CASE_VARIANTS, &[("allow", true), ("refuse", false)]),
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

/// Converts an item of `enum`, such as the number 5, to the string with which the value of a parameter is compared.
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
