//! Compiles `plans` and `limits`: converts rates to numbers, resolves names, and assigns ids to the tables of counts.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::issuers::unknown;
use super::sharing::SharedLimits;
use crate::config::auth::Auth;
use crate::config::document::{Document, Route};
use crate::config::limit as written;
use crate::config::limit::{Allowance, CountedEvents, KeyPart, LimitExclusions, PlanSource, QuotaPeriod, WindowSpan};
use crate::config::problem::{At, Problems};
use crate::policy::limits::rate_limit::cell::MAX_ENTRIES;
use crate::policy::limits::rate_limit::window::Window;
use crate::policy::limits::rate_limit::{Limit, Meter, MeterChoice};
use crate::policy::limits::set::LimitSet;

/// The limits of a document.
pub(super) struct Limits<'d> {
    document: &'d Document,
    wide: Vec<DocumentLimit<'d>>,
    tables: HashSet<u32>,
    shared: SharedLimits,
}

/// A limit at the top level of the document. It applies to all routes, or to the routes that it names.
struct DocumentLimit<'d> {
    written: &'d written::LimitSettings,
    compiled: Arc<Limit>,
}

/// The name of a plan, and its windows. For a limit without plans, the name is empty.
type NamedLimit<'d> = (&'d str, &'d [At<written::WindowSettings>]);
type ChosenPlans<'d> = (Vec<NamedLimit<'d>>, MeterChoice);

impl<'d> Limits<'d> {
    pub(super) fn compile(document: &'d Document, problems: &mut Problems) -> Limits<'d> {
        for (i, plan) in document.plans.iter().enumerate() {
            let twice = document.plans.iter().take(i).any(|other| other.name.value == plan.name.value);
            if twice {
                problems.add(&plan.name.place, format!("plan `{}` is declared twice", plan.name.value));
            }
        }
        let mut limits = Limits { document, wide: vec![], tables: HashSet::new(), shared: SharedLimits::of(document) };
        for limit in &document.limits {
            limits.check_name(limit, &limits.names(), problems);
            let compiled = limits.limit(limit, "", problems);
            limits.wide.push(DocumentLimit { written: limit, compiled });
        }
        limits
    }

    /// Returns the limits for requests that match no route of the document.
    pub(super) fn default_limits(&self) -> LimitSet {
        let mut set = LimitSet::default();
        for wide in self.wide.iter().filter(|wide| wide.written.routes.is_none()) {
            set.add(wide.written.counts, &wide.compiled);
        }
        set
    }

    /// Returns the limits of a route: those that the route defines, and those of the document that the route does not exclude.
    pub(super) fn of_route(&mut self, route: &'d Route, name: &str, problems: &mut Problems) -> LimitSet {
        self.check_without(route, problems);
        let mut set = LimitSet::default();
        for wide in &self.wide {
            let named = wide.written.routes.as_ref().and_then(|routes| routes.iter().find(|r| r.value == name));
            if (wide.written.routes.is_none() || named.is_some()) && !is_without(route, &wide.compiled) {
                set.add(wide.written.counts, &wide.compiled);
            }
            if let Some(named) = named.filter(|_| route.auth.value == Auth::None && wide.compiled.needs_caller()) {
                problems.add(&named.place, format!("route `{name}` does not identify callers, so `by` cannot be used"));
            }
        }
        for (i, own) in route.limits.iter().enumerate() {
            let others: Vec<&str> = route.limits.iter().take(i).map(|other| other.name.value.as_str()).collect();
            self.check_name(own, &[self.names(), others].concat(), problems);
            let compiled = self.limit(own, name, problems);
            if route.auth.value == Auth::None && compiled.needs_caller() {
                problems.add(&own.place, "the route does not identify callers (`auth: none`), so `by` cannot be used");
            }
            set.add(own.counts, &compiled);
        }
        set
    }

    /// Checks that every route named by a limit exists.
    pub(super) fn check_routes(&self, routes: &[Arc<str>], problems: &mut Problems) {
        for limit in &self.document.limits {
            for name in limit.routes.iter().flatten().filter(|name| routes.iter().all(|r| **r != *name.value)) {
                problems.add(&name.place, unknown("route", &name.value, routes.iter().map(|r| &**r)));
            }
        }
    }

    fn names(&self) -> Vec<&'d str> {
        self.wide.iter().map(|wide| wide.written.name.value.as_str()).collect()
    }

    fn check_name(&self, limit: &written::LimitSettings, taken: &[&str], problems: &mut Problems) {
        if taken.contains(&limit.name.value.as_str()) {
            problems.add(&limit.name.place, format!("limit `{}` is declared twice", limit.name.value));
        }
    }

    fn check_without(&self, route: &Route, problems: &mut Problems) {
        let Some(LimitExclusions::Named(names)) = &route.without_limits else { return };
        let declared = self.names();
        for name in names.iter().filter(|name| !declared.contains(&name.value.as_str())) {
            problems.add(&name.place, unknown("limit of the document", &name.value, declared.iter().copied()));
        }
    }

    /// Compiles a limit. `home` is the name of the route that defines the limit; empty for a limit of the document.
    fn limit(&mut self, limit: &'d written::LimitSettings, home: &str, problems: &mut Problems) -> Arc<Limit> {
        check_parts(limit, problems);
        let (plans, choice) = self.allowance(limit, problems);
        let meters = plans.into_iter().map(|(plan, windows)| {
            let windows_count = windows.len();
            let cells = limit.max_entries.div_ceil(u32::try_from(MAX_ENTRIES).unwrap_or(1));
            let table = self.table(&[home, &limit.name.value, plan], windows_count, cells);
            meter(limit, plan, windows, table, cells, problems)
        });
        let meters = meters.collect();
        Arc::new(Limit {
            name: limit.name.value.as_str().into(),
            by: limit.by.iter().map(|part| part.value.clone()).collect(),
            meters,
            choice,
            shadow: limit.shadow,
            sharing: self.shared.sharing(limit, problems),
        })
    }

    /// Returns the plans of a limit, with the default plan first, and how a caller's plan is chosen.
    fn allowance(&self, limit: &'d written::LimitSettings, problems: &mut Problems) -> ChosenPlans<'d> {
        let from = match &limit.allowance {
            Allowance::Windows(windows) => return (vec![("", windows.as_slice())], MeterChoice::Only),
            Allowance::Plan(name) => return (self.plan(name, problems).into_iter().collect(), MeterChoice::Only),
            Allowance::PlanFrom(from) => from,
        };
        let mut plans: Vec<_> = self.plan(&from.default, problems).into_iter().collect();
        let mut number = |name: &At<String>, problems: &mut Problems| {
            let known = plans.iter().position(|(plan, _)| *plan == name.value);
            known.or_else(|| {
                plans.push(self.plan(name, problems)?);
                Some(plans.len() - 1)
            })
        };
        let choice = match &from.chooser {
            PlanSource::Claim(claim, accepted) => {
                let numbered = self.accepted(accepted).filter_map(|n| Some((n.value.clone(), number(n, problems)?)));
                MeterChoice::Claim(claim.clone(), numbered.collect())
            }
            PlanSource::Client(accepted) => {
                let numbered = self.accepted(accepted).filter_map(|n| Some((n.value.clone(), number(n, problems)?)));
                MeterChoice::Directory(numbered.collect())
            }
            PlanSource::Clients(clients) => {
                let numbered = clients.iter().filter_map(|(c, plan)| Some((c.value.clone(), number(plan, problems)?)));
                MeterChoice::Client(numbered.collect())
            }
        };
        (plans, choice)
    }

    /// Returns the plans that callers may have. An empty list means all plans of the document.
    fn accepted(&self, listed: &'d [At<String>]) -> impl Iterator<Item = &'d At<String>> {
        let all = self.document.plans.iter().map(|plan| &plan.name).filter(|_| listed.is_empty());
        listed.iter().chain(all)
    }

    fn plan(&self, name: &At<String>, problems: &mut Problems) -> Option<NamedLimit<'d>> {
        let plans = &self.document.plans;
        let found = plans.iter().find(|plan| plan.name.value == name.value);
        if found.is_none() {
            problems.add(&name.place, unknown("plan", &name.value, plans.iter().map(|p| p.name.value.as_str())));
        }
        found.map(|plan| (plan.name.value.as_str(), plan.windows.as_slice()))
    }

    /// Returns the id of a limit's table, computed from names and the format of the cells. All workers therefore use the same
    /// table, counts stay valid if a reload changes only the rate, and cells of an old format are never read.
    fn table(&mut self, name: &[&str], windows: usize, cells: u32) -> u32 {
        let form = format!("{name:?}{windows},{cells}");
        let fold = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        let mut table = form.bytes().fold(0x811c_9dc5, fold);
        while !self.tables.insert(table) {
            table = table.wrapping_add(1);
        }
        table
    }
}

impl LimitSet {
    fn add(&mut self, counts: CountedEvents, limit: &Arc<Limit>) {
        let list = match counts {
            _ if limit.sharing.is_some() => &mut self.shared,
            CountedEvents::FailedAuthentications => &mut self.failures,
            CountedEvents::Requests if limit.needs_caller() => &mut self.caller,
            CountedEvents::Requests => &mut self.arrival,
        };
        list.push(limit.clone());
    }
}

fn is_without(route: &Route, limit: &Limit) -> bool {
    match &route.without_limits {
        None => false,
        Some(LimitExclusions::All) => true,
        Some(LimitExclusions::Named(names)) => names.iter().any(|name| *name.value == *limit.name),
    }
}

fn check_parts(limit: &written::LimitSettings, problems: &mut Problems) {
    let needs_caller = limit.by.iter().any(|part| part.value.needs_caller());
    for (i, part) in limit.by.iter().enumerate() {
        if limit.by.iter().take(i).any(|other| other.value == part.value) {
            problems.add(&part.place, "this part is repeated in `by`: remove one of the two");
        }
        if limit.counts == CountedEvents::FailedAuthentications && part.value.needs_caller() {
            let message = "a failed authentication has no caller: `by` can have only `address`, `route` and `header`";
            problems.add(&part.place, message);
        }
    }
    if let (Allowance::PlanFrom(from), false) = (&limit.allowance, needs_caller) {
        let message = "`plan_from` needs a caller: add `user`, `token`, `client` or a claim to `by`";
        problems.add(&from.default.place, message);
    }
}

fn meter(
    limit: &written::LimitSettings,
    plan: &str,
    written: &[At<written::WindowSettings>],
    table: u32,
    cells: u32,
    problems: &mut Problems,
) -> Meter {
    let name = &limit.name.value;
    let (mut windows, mut titles, mut policies) = (Vec::new(), Vec::new(), Vec::new());
    for window in written {
        let title = if written.len() == 1 { name.clone() } else { format!("{name}:{}", window.value.text) };
        let (compiled, most, seconds) = match window.value.span {
            WindowSpan::Rate { per, burst } => {
                let Some((interval, capacity)) = rate(window.value.count, per, burst) else {
                    problems.add(&window.place, "the burst refills in over a year, or the rate is over 1000000/s");
                    continue;
                };
                // `interval` is rounded up: with it, the result for a burst of 3 at 3/10s would be 11 s instead of 10 s.
                let lasting = (per.as_nanos() * u128::from(burst)).div_ceil(u128::from(window.value.count * NANOS));
                (Window::Rate { interval, capacity }, burst, Some(u64::try_from(lasting).unwrap_or(u64::MAX).max(1)))
            }
            WindowSpan::Quota(period) => {
                let most = u32::try_from(window.value.count).unwrap_or(u32::MAX);
                (Window::Quota { most, period }, u64::from(most), seconds_of(period))
            }
        };
        let lasting = seconds.map(|seconds| format!(";w={seconds}")).unwrap_or_default();
        policies.push(format!("\"{title}\";q={most}{lasting}"));
        windows.push(compiled);
        titles.push((title.as_str().into(), most));
    }
    Meter { plan: plan.into(), table, cells, windows, titles, policy: policies.join(", ").into() }
}

/// Returns the time to refill one request and the time to refill a whole burst, in nanoseconds; `None` if a time is out of range.
fn rate(count: u64, per: Duration, burst: u64) -> Option<(u64, u64)> {
    let per = u64::try_from(per.as_nanos()).ok()?;
    let interval = per.div_ceil(count.max(1));
    let capacity = interval.checked_mul(burst).filter(|capacity| *capacity <= YEAR)?;
    (interval >= 1_000).then_some((interval, capacity))
}

/// Returns a period in seconds, for `w` in `RateLimit-Policy` (RateLimit draft 10 §3.1.3); `None` for a month, which varies.
fn seconds_of(period: QuotaPeriod) -> Option<u64> {
    match period {
        QuotaPeriod::Hour => Some(3_600),
        QuotaPeriod::Day => Some(86_400),
        QuotaPeriod::Month => None,
    }
}

impl KeyPart {
    fn needs_caller(&self) -> bool {
        matches!(self, KeyPart::User | KeyPart::Token | KeyPart::Client | KeyPart::Claim(_))
    }
}

impl Limit {
    /// Returns `true` if the limit counts by an attribute that only authenticated callers have.
    pub fn needs_caller(&self) -> bool {
        self.by.iter().any(KeyPart::needs_caller)
    }
}

const NANOS: u64 = 1_000_000_000;
const YEAR: u64 = 366 * 86_400 * NANOS;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::config::source;
    use crate::policy::Policy;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    /// Compiles a document with these limits, a route with authentication and a route without. Returns its problems.
    fn problems(over: &Value) -> Vec<String> {
        let mut document = json!({
            "version": "1.0",
            "issuers": [{ "name": "a", "issuer": "https://a.example", "audiences": ["x"], "secret": { "env": "S" } }],
            "plans": { "free": { "rate": "1/s" }, "gold": [{ "rate": "9/s" }, { "quota": "100/d" }] },
            "routes": [
                { "name": "asks", "path": "/asks", "response": {} },
                { "name": "open", "path": "/open", "auth": "none", "response": {} },
            ],
        });
        for (name, value) in over.as_object().unwrap() {
            document[name] = value.clone();
        }
        let node = source::read(document.to_string().as_bytes()).unwrap();
        let found = Policy::from_node(&node, &|_| Some("0123456789abcdef0123456789abcdef".to_string())).err();
        found.unwrap_or_default().iter().map(|p| format!("{}: {}", p.place.path, p.message)).collect()
    }

    fn limit(over: Value) -> Value {
        let mut limit = json!({ "name": "l", "by": "address", "rate": "1/s" });
        for (name, value) in over.as_object().unwrap() {
            limit[name] = value.clone();
        }
        limit.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        json!({ "limits": [limit] })
    }

    #[test]
    fn invalid_limits_are_rejected_with_their_place() {
        let none = Value::Null;
        let claim = |of: Value| limit(json!({ "by": "user", "rate": none, "plan_from": of }));
        for (document, expected) in [
            (limit(json!({})), None),
            (limit(json!({ "by": ["user", { "claim": "a.b" }, { "header": "X-A" }, "route"] })), None),
            (limit(json!({ "quota": "5/month", "burst": 3 })), None),
            (limit(json!({ "rate": none, "plan": "gold" })), None),
            (claim(json!({ "claim": "plan", "default": "free" })), None),
            (claim(json!({ "clients": { "batch": "gold" }, "default": "free" })), None),
            (limit(json!({ "rate": "1/w" })), Some("limits[0].rate: `1/w` is not a rate")),
            (limit(json!({ "rate": "0/s" })), Some("limits[0].rate: `0/s` is not a rate")),
            (limit(json!({ "rate": "1/0s" })), Some("limits[0].rate: `1/0s` is not a rate")),
            (limit(json!({ "rate": "2000000/s" })), Some("limits[0].rate: the burst refills in over a year")),
            (limit(json!({ "rate": "1/d", "burst": 400 })), Some("limits[0].rate: the burst refills in over a year")),
            (limit(json!({ "quota": "1/s" })), Some("limits[0].quota: `1/s` is not a quota")),
            (limit(json!({ "rate": none, "burst": 3 })), Some("limits[0].burst: `burst` needs a `rate`")),
            (limit(json!({ "rate": none })), Some("limits[0]: expected `rate`, `quota` or both")),
            (limit(json!({ "plan": "gold" })), Some("limits[0]: expected `rate`, `quota` or both")),
            (
                limit(json!({ "rate": none, "plan": "glod" })),
                Some("limits[0].plan: no plan `glod` (did you mean `gold`?)"),
            ),
            (claim(json!({ "client": "plan", "plans": ["gold"], "default": "free" })), None),
            (
                claim(json!({ "client": "owner", "default": "free" })),
                Some("limits[0].plan_from.client: `owner` is not accepted"),
            ),
            (claim(json!({ "default": "free" })), Some("limits[0].plan_from: expected exactly one of `claim`")),
            (claim(json!({ "claim": "p" })), Some("limits[0].plan_from: `default` is missing")),
            (
                claim(json!({ "claim": "p", "plans": ["nope"], "default": "free" })),
                Some("limits[0].plan_from.plans[0]: no plan `nope`"),
            ),
            (
                limit(json!({ "rate": none, "plan_from": { "claim": "p", "default": "free" } })),
                Some("limits[0].plan_from.default: `plan_from` needs a caller"),
            ),
            (limit(json!({ "name": "a b" })), Some("limits[0].name: `a b` is not a limit name")),
            (limit(json!({ "by": "ip" })), Some("limits[0].by: `ip` is not accepted here")),
            (limit(json!({ "by": ["route", "route"] })), Some("limits[0].by[1]: this part is repeated in `by`")),
            (limit(json!({ "by": { "header": "a b" } })), Some("limits[0].by.header: `a b` is not a header name")),
            (limit(json!({ "by": { "header": "a", "claim": "b" } })), Some("limits[0].by: expected exactly one of")),
            (
                limit(json!({ "routes": ["asks", "aks"] })),
                Some("limits[0].routes[1]: no route `aks` (did you mean `asks`?)"),
            ),
            (
                limit(json!({ "by": "user", "routes": ["open"] })),
                Some("limits[0].routes[0]: route `open` does not identify callers"),
            ),
            (
                limit(json!({ "by": "user", "counts": "failed_authentications" })),
                Some("limits[0].by: a failed authentication has no caller"),
            ),
            (limit(json!({ "max_entries": 1 })), Some("limits[0].max_entries: `1` is not a whole number from 64")),
            (json!({ "plans": { "p": [] } }), Some("plans.p: expected `rate`")),
            (json!({ "plans": { "p": {} } }), Some("plans.p: expected `rate`")),
            (
                json!({ "limit_headers": "ietff" }),
                Some("limit_headers: `ietff` is not accepted here (did you mean `ietf`?)"),
            ),
        ] {
            let found = problems(&document);
            let holds = match expected {
                None => found.is_empty(),
                Some(expected) => found.len() == 1 && found[0].starts_with(expected),
            };
            assert!(holds, "{document}: expected {expected:?}, found {found:?}");
        }
    }

    #[test]
    fn route_limits_are_checked_against_document_limits() {
        let limit = |name: &str, by: &str| json!({ "name": name, "by": by, "rate": "1/s" });
        let with = |route: Value| json!({ "limits": [limit("wide", "address")], "routes": [route] });
        let own =
            |limits: Value, auth: &str| with(json!({ "path": "/a", "auth": auth, "response": {}, "limits": limits }));
        let without = |names: Value| with(json!({ "path": "/a", "response": {}, "without_limits": names }));
        for (document, expected) in [
            (own(json!([limit("own", "user")]), "required"), None),
            (
                own(json!([limit("wide", "user")]), "required"),
                Some("routes[0].limits[0].name: limit `wide` is declared twice"),
            ),
            (
                own(json!([limit("o", "user"), limit("o", "route")]), "required"),
                Some("routes[0].limits[1].name: limit `o`"),
            ),
            (
                own(json!([limit("own", "user")]), "none"),
                Some("routes[0].limits[0]: the route does not identify callers"),
            ),
            (without(json!(true)), None),
            (without(json!(["wide"])), None),
            (
                without(json!(["wdie"])),
                Some("routes[0].without_limits[0]: no limit of the document `wdie` (did you mean `wide`?)"),
            ),
        ] {
            let found = problems(&document);
            let holds = match expected {
                None => found.is_empty(),
                Some(expected) => found.len() == 1 && found[0].starts_with(expected),
            };
            assert!(holds, "{document}: expected {expected:?}, found {found:?}");
        }
    }
}
