//! Reads `plans`, `limits` and the limits of a route.

use super::service::read_store;
use super::{
    Allowance, CountedEvents, KeyPart, LimitExclusions, LimitHeaders, LimitSettings, MAX_WINDOWS, Plan, PlanFrom,
    PlanSource, QuotaPeriod, WindowSettings, WindowSpan,
};
use crate::config::claim::ClaimPath;
use crate::config::node::Value;
use crate::config::problem::At;
use crate::config::reader::{Field, Fields, parse_duration};
use crate::config::schema_keys::{document, limit as key};
use crate::config::sent_header;

impl Plan {
    /// Reads the `plans` section.
    pub(in crate::config) fn read_all(field: &Field<'_>) -> Vec<Plan> {
        let plan = |(name, field): (At<String>, Field<'_>)| {
            let windows = read_windows(&field);
            (!windows.is_empty()).then_some(Plan { name, windows })
        };
        field.entries().into_iter().filter_map(plan).collect()
    }
}

impl LimitSettings {
    /// Reads one limit. `of_route` means that the limit is part of a route and applies only to this route.
    pub(in crate::config) fn read(field: &Field<'_>, of_route: bool) -> Option<LimitSettings> {
        let fields = field.fields()?;
        let name = fields.require("name").and_then(|f| read_name(&f));
        let by = fields.require("by").map(|f| {
            if matches!(&f.node.value, Value::List(items) if items.is_empty()) {
                f.problem("the list is empty: list at least one attribute, such as `user` or `address`");
            }
            f.one_or_more().iter().filter_map(read_part).collect::<Vec<_>>()
        });
        let counts = fields.word(&key::COUNTS, &COUNTS);
        let allowance = read_allowance(&fields);
        let routes = if of_route { None } else { fields.get("routes").map(|f| f.texts()) };
        let shadow = fields.flag(&key::SHADOW);
        let max_entries = u32::try_from(fields.number(&key::MAX_ENTRIES)).unwrap_or(u32::MAX);
        let store = read_store(&fields);
        let place = fields.place().clone();
        fields.finish();
        Some(LimitSettings {
            name: name?,
            by: by.filter(|parts| !parts.is_empty())?,
            counts,
            allowance: allowance?,
            routes,
            shadow,
            max_entries,
            store,
            place,
        })
    }

    /// Reads the `limits` of the document, or of a route if `of_route` is set.
    pub(in crate::config) fn read_all(field: &Field<'_>, of_route: bool) -> Vec<LimitSettings> {
        field.items().iter().filter_map(|item| LimitSettings::read(item, of_route)).collect()
    }
}

impl LimitHeaders {
    pub(in crate::config) fn read(document: &Fields<'_>) -> LimitHeaders {
        document.word(
            &document::LIMIT_HEADERS,
            &[("ietf", LimitHeaders::Ietf), ("x-ratelimit", LimitHeaders::XRateLimit), ("none", LimitHeaders::None)],
        )
    }
}

impl LimitExclusions {
    /// Reads `without_limits`: `true`, which excludes all limits of the document, or the names of the excluded limits.
    pub(in crate::config) fn read(field: &Field<'_>) -> Option<LimitExclusions> {
        match &field.node.value {
            Value::Bool(true) => Some(LimitExclusions::All),
            Value::Bool(false) => None,
            _ => Some(LimitExclusions::Named(field.texts())),
        }
    }
}

/// Reads the name of a limit. Response headers contain the name as a string (RFC 9651 §3.3.3), so it must not need escaping.
fn read_name(field: &Field<'_>) -> Option<At<String>> {
    let name = field.text_at()?;
    let is_plain = name.value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    if !is_plain || name.value.len() > MAX_NAME_BYTES {
        field.problem(format!("`{}` is not a limit name: up to 64 letters, digits, `-`, `_` and `.`", name.value));
        return None;
    }
    Some(name)
}

fn read_part(field: &Field<'_>) -> Option<At<KeyPart>> {
    let part = match &field.node.value {
        Value::Map(_) => {
            let fields = field.fields()?;
            let (header, claim) = (fields.get("header"), fields.get("claim"));
            if header.is_some() == claim.is_some() {
                fields.problem("expected exactly one of `header` and `claim`");
            }
            fields.finish();
            let header = header.and_then(|f| read_header(&f)).map(KeyPart::Header);
            header.or_else(|| claim.and_then(|f| ClaimPath::read(&f)).map(KeyPart::Claim))
        }
        _ => field.word(&PARTS).and_then(|at| SIMPLE_PARTS.get(at).cloned()),
    };
    part.map(|value| At { value, place: field.place.clone() })
}

fn read_header(field: &Field<'_>) -> Option<String> {
    sent_header::read(&field.text()?).map_err(|fault| field.problem(fault)).ok()
}

fn read_allowance(fields: &Fields<'_>) -> Option<Allowance> {
    let own_written = ["rate", "burst", "quota"].map(|key| fields.get(key).is_some()).contains(&true);
    let own = read_own_windows(fields);
    let windows = fields.get("windows").map(|f| read_windows(&f));
    let plan = fields.get("plan").map(|f| f.text_at());
    let from = fields.get("plan_from").map(|f| PlanFrom::read(&f));
    let written = [own_written, windows.is_some(), plan.is_some(), from.is_some()];
    if written.iter().filter(|written| **written).count() != 1 {
        fields.problem("expected `rate`, `quota` or both, or exactly one of `windows`, `plan` and `plan_from`");
        return None;
    }
    let own = windows.unwrap_or(own);
    match (plan, from) {
        (Some(plan), _) => plan.map(Allowance::Plan),
        (_, Some(from)) => from.map(Allowance::PlanFrom),
        _ => (!own.is_empty()).then_some(Allowance::Windows(own)),
    }
}

impl PlanFrom {
    fn read(field: &Field<'_>) -> Option<PlanFrom> {
        let fields = field.fields()?;
        let accepted = fields.get("plans").map(|f| f.non_empty_texts());
        let claim = fields.get("claim").map(|f| ClaimPath::read(&f));
        let client = fields.get("client").map(|f| f.word(&[("plan", ())]));
        let clients = fields.get("clients").map(|f| f.entries());
        let default = fields.require("default").and_then(|f| f.text_at());
        let chooser = match (claim, client, clients) {
            (None, Some(word), None) => word.map(|()| PlanSource::Client(accepted.unwrap_or_default())),
            (Some(claim), None, None) => claim.map(|claim| PlanSource::Claim(claim, accepted.unwrap_or_default())),
            (None, None, Some(clients)) if accepted.is_none() => {
                let pair = |(name, plan): (At<String>, Field<'_>)| Some((name, plan.text_at()?));
                Some(PlanSource::Clients(clients.into_iter().filter_map(pair).collect()))
            }
            _ => {
                fields.problem(
                    "expected exactly one of `claim`, `client` and `clients`; `plans` cannot be used with `clients`",
                );
                None
            }
        };
        fields.finish();
        Some(PlanFrom { chooser: chooser?, default: default? })
    }
}

/// Reads `windows` or a plan: one mapping of `rate`, `burst` and `quota`, or a list of such mappings.
fn read_windows(field: &Field<'_>) -> Vec<At<WindowSettings>> {
    let mut found = Vec::new();
    for item in field.one_or_more() {
        let Some(fields) = item.fields() else { continue };
        let windows = read_own_windows(&fields);
        if windows.is_empty() && fields.get("rate").is_none() && fields.get("quota").is_none() {
            fields.problem("expected `rate`, such as `100/s`, or `quota`, such as `10000/d`");
        }
        fields.finish();
        found.extend(windows);
    }
    if matches!(&field.node.value, Value::List(items) if items.is_empty()) {
        field.problem("expected `rate`, such as `100/s`, or `quota`, such as `10000/d`");
    }
    if found.len() > MAX_WINDOWS {
        field.problem(format!("found {} windows, at most {MAX_WINDOWS} are accepted", found.len()));
    }
    found
}

fn read_own_windows(fields: &Fields<'_>) -> Vec<At<WindowSettings>> {
    let rate = fields.get("rate").and_then(|f| read_rate(&f));
    let burst = fields.get(key::BURST.name);
    let quota = fields.get("quota").and_then(|f| read_quota(&f));
    if let (Some(burst), None) = (&burst, fields.get("rate")) {
        burst.problem("`burst` needs a `rate`");
    }
    let burst = burst.and_then(|f| f.number(key::BURST.least, key::BURST.most));
    let rate = rate.map(|mut rate| {
        if let (WindowSpan::Rate { burst: most, .. }, Some(burst)) = (&mut rate.value.span, burst) {
            *most = burst;
        }
        rate
    });
    rate.into_iter().chain(quota).collect()
}

/// Reads a rate such as `100/s`, `30/m` or `5/10s`.
fn read_rate(field: &Field<'_>) -> Option<At<WindowSettings>> {
    let text = field.text()?;
    let parts = text.split_once('/').and_then(|(count, per)| {
        let count = count.parse().ok().filter(|n| (1..=MAX_COUNT).contains(n))?;
        let per = if per.starts_with(|c: char| c.is_ascii_digit()) { per.to_string() } else { format!("1{per}") };
        Some((count, parse_duration(&per).filter(|per| !per.is_zero())?))
    });
    let Some((count, per)) = parts else {
        field.problem(format!("`{text}` is not a rate (accepted: 100/s, 30/m, 500/h, 1000/d, 5/10s)"));
        return None;
    };
    let span = WindowSpan::Rate { per, burst: count };
    Some(At { value: WindowSettings { text, count, span }, place: field.place.clone() })
}

/// Reads a quota such as `1000/h`, `10000/d` or `500000/month`.
fn read_quota(field: &Field<'_>) -> Option<At<WindowSettings>> {
    let text = field.text()?;
    let parts = text.split_once('/').and_then(|(count, period)| {
        let count = count.parse().ok().filter(|n| (1..=MAX_COUNT).contains(n))?;
        PERIODS.iter().find(|(name, _)| *name == period).map(|(_, period)| (count, *period))
    });
    let Some((count, period)) = parts else {
        field.problem(format!("`{text}` is not a quota (accepted: 1000/h, 10000/d, 500000/month)"));
        return None;
    };
    Some(At { value: WindowSettings { text, count, span: WindowSpan::Quota(period) }, place: field.place.clone() })
}

const COUNTS: [(&str, CountedEvents); 2] =
    [("requests", CountedEvents::Requests), ("failed_authentications", CountedEvents::FailedAuthentications)];
const PARTS: [(&str, usize); 5] = [("address", 0), ("user", 1), ("token", 2), ("client", 3), ("route", 4)];
const SIMPLE_PARTS: [KeyPart; 5] = [KeyPart::Address, KeyPart::User, KeyPart::Token, KeyPart::Client, KeyPart::Route];
const PERIODS: [(&str, QuotaPeriod); 3] =
    [("h", QuotaPeriod::Hour), ("d", QuotaPeriod::Day), ("month", QuotaPeriod::Month)];
/// The maximum count of a rate or a quota, which is also the maximum of `burst`.
const MAX_COUNT: u64 = key::BURST.most;
const MAX_NAME_BYTES: usize = 64;
