//! Checks query parameters and headers for missing, unaccepted and ambiguous values.

use std::borrow::Cow;

use crate::config::checks::ParameterType;
use crate::config::document::TokenSource;
use crate::config::header_name::is_same_cgi_variable;
use crate::policy::request::guard::{ParameterNameMatch, QueryParameter, parameters};
use crate::policy::verdict::rejection::Finding;
use crate::strict_json;
use crate::strict_json::Bounds;
use crate::strict_json::number::Number;
use crate::strict_json::pointer;
use crate::strict_json::tree::Json;

/// The checks for one query parameter or header.
#[derive(Debug)]
pub struct ParameterCheck {
    /// The name of the parameter. Header names are in lower case.
    pub name: String,
    /// The type that the value must have.
    pub kind: ParameterType,
    /// Whether a request without the parameter is refused.
    pub required: bool,
    /// Whether the parameter may occur more than once.
    pub repeat: bool,
    /// The smallest accepted number; `None` for no minimum.
    pub min: Option<Number<'static>>,
    /// The largest accepted number; `None` for no maximum.
    pub max: Option<Number<'static>>,
    /// The minimum length of the value in characters; `None` for no minimum.
    pub min_length: Option<u64>,
    /// The maximum length of the value in characters; `None` for no maximum.
    pub max_length: Option<u64>,
    /// The accepted values; `None` if every value of the type is accepted.
    pub one_of: Option<Vec<String>>,
}

/// Checks the query. Every route accepts the parameters in which issuers allow tokens.
pub(super) fn check_query(
    checks: &[ParameterCheck],
    others: bool,
    query: &str,
    tokens: &[TokenSource],
    findings: &mut Vec<Finding>,
) {
    if checks.is_empty() && others {
        return;
    }
    let sent: Vec<QueryParameter<'_>> = parameters(query).collect();
    let is_checked =
        |sent: &QueryParameter<'_>| checks.iter().any(|check| sent.naming(&check.name) == ParameterNameMatch::Exact);
    for check in checks {
        let values = sent.iter().filter(|sent| sent.naming(&check.name) == ParameterNameMatch::Exact);
        let values = values.map(|sent| sent.value.as_deref().ok_or("must be UTF-8, with well-formed escapes"));
        let is_respelled =
            |sent: &QueryParameter<'_>| sent.naming(&check.name) == ParameterNameMatch::Respelled && !is_checked(sent);
        check.check("/query/", values, sent.iter().any(is_respelled), findings);
    }
    let is_token = |sent: &QueryParameter<'_>| {
        tokens
            .iter()
            .any(|token| matches!(token, TokenSource::Query(known) if sent.naming(known) == ParameterNameMatch::Exact))
    };
    if !others && sent.iter().any(|sent| !is_checked(sent) && !is_token(sent)) {
        findings.push(Finding::new("/query", "has a parameter that is not accepted here"));
    }
}

/// Checks the headers. Each header line is one value.
pub(super) fn check_headers(checks: &[ParameterCheck], headers: &[(&[u8], &[u8])], findings: &mut Vec<Finding>) {
    let is_checked = |sent: &[u8]| checks.iter().any(|check| sent == check.name.as_bytes());
    for check in checks {
        let lines = headers.iter().filter(|(sent, _)| *sent == check.name.as_bytes());
        let values = lines.map(|(_, value)| std::str::from_utf8(value).map_err(|_| "must be text in UTF-8"));
        let is_respelled = |sent: &[u8]| is_same_cgi_variable(sent, check.name.as_bytes()) && !is_checked(sent);
        check.check("/headers/", values, headers.iter().any(|(sent, _)| is_respelled(sent)), findings);
    }
}

impl ParameterCheck {
    /// Checks the values of one parameter or header. For a value that cannot be read, `values` yields the reason. If `respelled`
    /// is set, the request also has a parameter with another name that some upstreams treat as this name.
    fn check<'v>(
        &self,
        prefix: &str,
        values: impl Iterator<Item = Result<&'v str, &'static str>>,
        respelled: bool,
        findings: &mut Vec<Finding>,
    ) {
        let mut count = 0;
        let mut fault = None;
        for value in values {
            count += 1;
            fault = fault.or_else(|| match value {
                Ok(value) => self.fault(value),
                Err(unreadable) => Some(unreadable.into()),
            });
        }
        if respelled {
            fault = Some("is sent in another spelling of its name".into());
        } else if count == 0 && self.required {
            fault = Some("is missing".into());
        }
        if count > 1 && !self.repeat {
            fault = Some("is sent more than once".into());
        }
        findings.extend(
            fault.map(|message| Finding { pointer: format!("{prefix}{}", pointer::escape(&self.name)), message }),
        );
    }

    /// Returns the reason why a value is not accepted. The reason does not contain the value.
    fn fault(&self, value: &str) -> Option<Cow<'static, str>> {
        if self.one_of.as_ref().is_some_and(|values| !values.iter().any(|accepted| accepted == value)) {
            return Some("must be one of the accepted values".into());
        }
        match self.kind {
            ParameterType::Text => {
                let length = u64::try_from(value.chars().count()).unwrap_or(u64::MAX);
                let short = self.min_length.filter(|least| length < *least);
                let long = self.max_length.filter(|most| length > *most);
                let short = short.map(|least| format!("must have at least {least} characters"));
                short.or_else(|| long.map(|most| format!("must have at most {most} characters"))).map(Cow::Owned)
            }
            ParameterType::Boolean if value != "true" && value != "false" => Some("must be true or false".into()),
            ParameterType::Boolean => None,
            ParameterType::Integer | ParameterType::Number => self.fault_of_number(value),
        }
    }

    fn fault_of_number(&self, value: &str) -> Option<Cow<'static, str>> {
        let whole = self.kind == ParameterType::Integer;
        let Some(number) = number(value, whole) else {
            return Some(if whole { "must be a whole number" } else { "must be a number" }.into());
        };
        let low = self.min.as_ref().filter(|least| number < **least);
        let high = self.max.as_ref().filter(|most| number > **most);
        let low = low.map(|least| format!("must be at least {least}"));
        low.or_else(|| high.map(|most| format!("must be at most {most}"))).map(Cow::Owned)
    }
}

/// Parses a number in JSON syntax (RFC 8259 §6), because all languages parse this syntax in the same way. Integers must fit
/// into 64 bits.
pub fn number(text: &str, whole: bool) -> Option<Number<'_>> {
    let starts = text.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    if !starts || !text.ends_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let Json::Number(number) = strict_json::read(text.as_bytes(), Bounds { depth: 0, values: 1 }).ok()? else {
        return None;
    };
    // Some parsers read `-0` as a floating-point number.
    let is_whole = text != "-0" && (text.parse::<i64>().is_ok() || text.parse::<u64>().is_ok());
    (is_whole || !whole).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn numbers_are_those_that_all_languages_parse_alike() {
        for (text, whole, any) in [
            ("0", true, true),
            ("-7", true, true),
            ("18446744073709551615", true, true),
            ("18446744073709551616", false, true),
            ("1.5", false, true),
            ("1.0", false, true),
            ("1e3", false, true),
            ("+1", false, false),
            ("01", false, false),
            (" 1", false, false),
            ("1 ", false, false),
            ("1,000", false, false),
            ("0x10", false, false),
            ("1e999", false, false),
            ("NaN", false, false),
            ("", false, false),
            ("-", false, false),
            ("1]", false, false),
            ("\u{664}", false, false),
        ] {
            assert_eq!((number(text, true).is_some(), number(text, false).is_some()), (whole, any), "{text:?}");
        }
    }
}
