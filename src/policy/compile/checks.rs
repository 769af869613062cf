//! Compiles `checks`: settings of a route override those of the document, and impossible checks are rejected.

use std::sync::Arc;

use super::super::checks::Checks;
use super::super::checks::body::{BodyCheck, JsonCheck};
use super::super::checks::media_type::MediaRange;
use super::super::checks::parameter::{ParameterCheck, number};
use super::schemas::Schemas;
use crate::config::checks::{CheckMode, CheckSettings as Section, JsonBody, ParameterSettings, ParameterType};
use crate::config::problem::{At, Problems};
use crate::config::schema_keys::checks::{MODE, OTHER_QUERY};
use crate::config::sent_header;
use crate::strict_json::Bounds;

/// Validates the `checks` section of the document, even if no route uses the section.
pub(super) fn check_section(section: &Section, problems: &mut Problems) {
    for text in section.content_types.iter().flatten() {
        if MediaRange::parse(&text.value).is_none() {
            let message = format!(
                "`{}` is not a media type (accepted: application/json, application/*+json, image/*)",
                text.value
            );
            problems.add(&text.place, message);
        }
    }
    if section.content_types.as_ref().is_some_and(Vec::is_empty) {
        problems.add(&section.place, "`content_types` is empty: omit it to accept every type");
    }
    for parameter in section.query.iter().flatten() {
        check_parameter(parameter, problems);
    }
    let headers = section.headers.as_deref().unwrap_or_default();
    for (i, parameter) in headers.iter().enumerate() {
        let name = &parameter.name;
        if let Err(fault) = sent_header::read(&name.value) {
            problems.add(&name.place, fault);
        }
        if headers.iter().take(i).any(|other| other.name.value.eq_ignore_ascii_case(&name.value)) {
            problems.add(&name.place, format!("the header `{}` is checked twice", name.value));
        }
        check_parameter(parameter, problems);
    }
    let is_read = section.json.is_some();
    if let Some(most) = section.max_body_bytes.as_ref().filter(|most| is_read && most.value > MAX_JSON_BYTES) {
        problems
            .add(&most.place, format!("a JSON body is read into memory: at most {MAX_JSON_BYTES} bytes are accepted"));
    }
}

/// Returns the checks of a route; `None` if there is nothing to check. If `own` omits a setting, the setting of `document`
/// applies.
pub(super) fn compile(document: Option<&Section>, own: Option<&Section>, schemas: &Schemas) -> Option<Arc<Checks>> {
    let sections = [own, document];
    let sections = || sections.iter().flatten();
    let bound = |at: &Option<At<u64>>| at.as_ref().map(|at| at.value);
    let or_none = |bound: Option<u64>| bound.unwrap_or(u64::MAX);
    let json = sections().find_map(|s| s.json.as_ref()).map(|json| compile_json(json, schemas));
    let most_bytes = sections().find_map(|s| bound(&s.max_body_bytes)).or(json.as_ref().map(|_| USUAL_JSON_BYTES));
    // The `checks` section of the document may allow larger bodies than `MAX_JSON_BYTES`, because other routes do not parse JSON.
    // A route that parses JSON lowers the limit.
    let most_bytes = most_bytes.map(|most| if json.is_some() { most.min(MAX_JSON_BYTES) } else { most });
    let types: Vec<&str> = match sections().find_map(|s| s.content_types.as_ref()) {
        Some(types) => types.iter().map(|text| text.value.as_str()).collect(),
        None if json.is_some() => JSON_TYPES.to_vec(),
        None => Vec::new(),
    };
    let checks = Checks {
        log_only: sections().find_map(|s| s.mode).map_or(MODE.default == "log", |mode| mode == CheckMode::Log),
        url_bytes: or_none(sections().find_map(|s| bound(&s.max_url_bytes))),
        header_bytes: or_none(sections().find_map(|s| bound(&s.max_header_bytes))),
        headers: or_none(sections().find_map(|s| bound(&s.max_headers))),
        content_types: types.iter().filter_map(|text| MediaRange::parse(text)).collect(),
        accept: types.join(", ").into(),
        query: compile_parameters(sections().find_map(|s| s.query.as_deref()), false),
        other_query: sections().find_map(|s| s.other_query).unwrap_or(OTHER_QUERY.default == "allow"),
        header_values: compile_parameters(sections().find_map(|s| s.headers.as_deref()), true),
        body: most_bytes.map(|most_bytes| Arc::new(BodyCheck { most_bytes, json })),
    };
    sections().next().map(|_| Arc::new(checks))
}

fn compile_json(section: &JsonBody, schemas: &Schemas) -> JsonCheck {
    JsonCheck {
        required: section.required,
        bounds: Bounds { depth: section.max_depth, values: section.max_values },
        case_variants: section.case_variants,
        schema: schemas.of(section),
    }
}

/// Sorts parameters by name, because Envoy does not preserve the order of a mapping.
fn compile_parameters(list: Option<&[ParameterSettings]>, lower: bool) -> Vec<ParameterCheck> {
    let mut checks: Vec<ParameterCheck> = list.into_iter().flatten().map(|p| compile_parameter(p, lower)).collect();
    checks.sort_by(|a, b| a.name.cmp(&b.name));
    checks
}

fn compile_parameter(parameter: &ParameterSettings, lower: bool) -> ParameterCheck {
    let name = &parameter.name.value;
    ParameterCheck {
        name: if lower { name.to_ascii_lowercase() } else { name.clone() },
        kind: parameter.kind,
        required: parameter.required,
        repeat: parameter.repeat,
        min: parameter.min.as_ref().map(|at| at.value.clone()),
        max: parameter.max.as_ref().map(|at| at.value.clone()),
        min_length: parameter.min_length,
        max_length: parameter.max_length,
        one_of: parameter.one_of.clone(),
    }
}

/// Reports bounds that do not apply to the parameter's type, and bounds that no value can meet.
fn check_parameter(parameter: &ParameterSettings, problems: &mut Problems) {
    let is_text = parameter.kind == ParameterType::Text;
    let is_number = matches!(parameter.kind, ParameterType::Integer | ParameterType::Number);
    let mut add = |message: String| problems.add(&parameter.name.place, message);
    let name = &parameter.name.value;
    if !is_number && (parameter.min.is_some() || parameter.max.is_some()) {
        add(format!(
            "`{name}` is not a number: `min` and `max` cannot be used (`min_length` and `max_length` are for text)"
        ));
    }
    if !is_text && (parameter.min_length.is_some() || parameter.max_length.is_some()) {
        add(format!("`{name}` is not text: `min_length` and `max_length` cannot be used"));
    }
    let crossed = matches!((&parameter.min, &parameter.max), (Some(min), Some(max)) if min.value > max.value);
    if crossed || matches!((parameter.min_length, parameter.max_length), (Some(min), Some(max)) if min > max) {
        add(format!("no value meets the bounds of `{name}`: the minimum is above the maximum"));
    }
    for value in parameter.one_of.iter().flatten() {
        let fits = match parameter.kind {
            ParameterType::Text => true,
            ParameterType::Boolean => value == "true" || value == "false",
            kind => number(value, kind == ParameterType::Integer).is_some(),
        };
        if !fits {
            add(format!("`{value}` in `enum` does not have the type of `{name}`"));
        }
    }
    if parameter.one_of.as_ref().is_some_and(Vec::is_empty) {
        add(format!("`enum` of `{name}` is empty: nothing would be accepted"));
    }
}

const JSON_TYPES: [&str; 2] = ["application/json", "application/*+json"];
/// The default size limit of a JSON body in bytes.
const USUAL_JSON_BYTES: u64 = 1 << 20;
/// The maximum size of a JSON body in bytes. Parsing takes about 20 ms per MiB and blocks the worker.
const MAX_JSON_BYTES: u64 = 10 << 20;
