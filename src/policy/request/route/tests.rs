//! Tests of route precedence, with one table for each rule.

use super::*;
#[cfg(target_os = "unknown")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// Builds a table in which each route's value is its own text: `METHOD,METHOD host/path`. `-` means any method, and an empty host
/// means any host.
fn table(routes: &[&'static str]) -> RouteTable<&'static str> {
    let mut builder = RouteTable::builder();
    for text in routes {
        assert_eq!(insert(&mut builder, text), Ok(()));
    }
    builder.build()
}

fn insert<'b>(
    builder: &'b mut RouteTableBuilder<&'static str>,
    text: &'static str,
) -> Result<(), Conflict<'b, &'static str>> {
    let (methods, rest) = text.split_once(' ').unwrap();
    let (host, path) = rest.split_at(rest.find('/').unwrap());
    let methods: Vec<_> =
        methods.split(',').filter(|method| *method != "-").map(|m| Method::parse(m).unwrap()).collect();
    let hosts: Vec<_> =
        host.split(',').filter(|host| !host.is_empty()).map(|h| HostPattern::parse(h).unwrap()).collect();
    builder.insert(&hosts, RoutePattern::parse(path).unwrap(), &methods, text)
}

/// Returns the text of the matching route, `405` with the allowed methods, or `404`.
fn answer(table: &RouteTable<&'static str>, method: &str, host: &str, path: &str) -> String {
    match table.find(host, path, &Method::parse(method).unwrap()) {
        RouteMatch::Route { value, .. } => (*value).to_owned(),
        RouteMatch::MethodNotAllowed { allow } => format!("405 {allow}"),
        RouteMatch::NotFound => "404".to_owned(),
    }
}

#[test]
fn the_more_specific_path_wins() {
    let table =
        table(&["- /admin/{.+}", "- /admin/health", "- /admin/{id}", "- /admin/{id}/x", "- /", "- /café", "- /a:b"]);
    for (path, route) in [
        ("/admin/health", "- /admin/health"),
        ("/admin/%68ealth", "- /admin/health"),
        ("/admin/users", "- /admin/{id}"),
        ("/admin/health/x", "- /admin/{id}/x"),
        ("/admin/health/y", "- /admin/{.+}"),
        ("/admin/health/", "- /admin/{.+}"),
        ("/admin/", "404"),
        ("/admin", "404"),
        ("/Admin/health", "404"),
        ("/", "- /"),
        ("/caf%C3%A9", "- /café"),
        ("/a%3Ab", "- /a:b"),
        ("/administrator", "404"),
    ] {
        assert_eq!(answer(&table, "GET", "", path), route, "{path}");
    }
}

#[test]
fn a_route_that_fails_later_in_the_path_falls_back_to_the_next() {
    let table = table(&["- /{a}/{b}/c", "- /a/{b}/d", "- /a/b/e", "- /{.+}"]);
    for (path, route) in [
        ("/a/b/e", "- /a/b/e"),
        ("/a/b/d", "- /a/{b}/d"),
        ("/a/b/c", "- /{a}/{b}/c"),
        ("/a/b/f", "- /{.+}"),
        ("/a/b/c/", "- /{.+}"),
    ] {
        assert_eq!(answer(&table, "GET", "", path), route, "{path}");
    }
}

#[test]
fn a_named_method_wins_over_any_and_the_path_over_the_method() {
    let table = table(&["- /a", "GET /a", "POST /a/{x}", "GET,PUT /a/b", "HEAD /h", "GET /h", "- /{x}/only"]);
    for (method, path, route) in [
        ("GET", "/a", "GET /a"),
        ("HEAD", "/a", "GET /a"),
        ("DELETE", "/a", "- /a"),
        ("PROPFIND", "/a", "- /a"),
        ("HEAD", "/h", "HEAD /h"),
        ("GET", "/h", "GET /h"),
        ("POST", "/a/b", "POST /a/{x}"),
        ("DELETE", "/a/b", "405 GET, HEAD, OPTIONS, POST, PUT"),
        ("OPTIONS", "/a/b", "405 GET, HEAD, OPTIONS, POST, PUT"),
        ("DELETE", "/a/c", "405 OPTIONS, POST"),
        ("GET", "/a/only", "- /{x}/only"),
        ("POST", "/a/only", "POST /a/{x}"),
    ] {
        assert_eq!(answer(&table, method, "", path), route, "{method} {path}");
    }
    assert!(table.methods_for("", "/a").any());
    assert!(table.methods_for("", "/none").is_empty());
}

#[test]
fn the_more_specific_host_wins_over_the_path() {
    let table =
        table(&["- /a", "- *.example.com/{.+}", "- api.example.com/b", "GET api.example.com,*.test/c", "POST /c"]);
    for (method, host, path, route) in [
        ("GET", "example.com", "/a", "- /a"),
        ("GET", "api.example.com", "/a", "- *.example.com/{.+}"),
        ("GET", "api.example.com", "/b", "- api.example.com/b"),
        ("GET", "x.y.example.com", "/b", "- *.example.com/{.+}"),
        ("GET", "a.test", "/c", "GET api.example.com,*.test/c"),
        ("POST", "a.test", "/c", "POST /c"),
        ("PUT", "a.test", "/c", "405 GET, HEAD, OPTIONS, POST"),
        ("GET", "", "/b", "404"),
        ("GET", "test", "/c", "405 OPTIONS, POST"),
    ] {
        assert_eq!(answer(&table, method, host, path), route, "{method} {host} {path}");
    }
}

#[test]
fn parameters_and_the_tail_are_read_from_the_path() {
    let table = table(&["- /{org}/repos/{name}/{.+}"]);
    let found = table.find("", "/caf%C3%A9/repos/a%20b/src/main.rs", &Method::Get);
    let RouteMatch::Route { params, tail, .. } = found else { panic!("{found:?}") };
    assert_eq!(params.get("org").as_deref(), Some("café"));
    assert_eq!((params.raw("name"), params.get("other")), (Some("a%20b"), None));
    assert_eq!(params.iter().collect::<Vec<_>>(), [("org", "caf%C3%A9"), ("name", "a%20b")]);
    assert_eq!(tail, Some("src/main.rs"));
}

#[test]
fn a_conflict_names_the_earlier_routes_and_changes_nothing() {
    let mut builder = RouteTable::builder();
    for text in ["GET /a/{x}", "POST x.test/a/{y}", "- /b"] {
        assert_eq!(insert(&mut builder, text), Ok(()));
    }
    let conflict = insert(&mut builder, "GET,PUT /a/{other}").unwrap_err();
    let taken: Vec<_> =
        conflict.taken.iter().map(|taken| (*taken.by, taken.pattern.to_string(), &taken.method)).collect();
    assert_eq!(taken, [("GET /a/{x}", "/a/{x}".to_owned(), &Some(Method::Get))]);
    let conflict = insert(&mut builder, "GET,POST *,x.test/a/{z}").unwrap_err();
    let taken: Vec<_> = conflict.taken.iter().map(|taken| (*taken.by, taken.host.to_string())).collect();
    assert_eq!(taken, [("GET /a/{x}", "*".to_owned()), ("POST x.test/a/{y}", "x.test".to_owned())]);
    assert_eq!(insert(&mut builder, "- /b").unwrap_err().taken[0].method, None);
    for text in ["HEAD /a/{x}", "GET /a/{.+}", "GET,GET /b", "- *,*/c", "GET x.test/a/{x}", "PUT /a/{x}"] {
        assert_eq!(insert(&mut builder, text), Ok(()), "no conflict");
    }
    assert_eq!(builder.build().len(), 9);
}

#[test]
fn overlaps_report_which_route_wins_and_why() {
    let table = table(&["- /admin/{.+}", "GET /admin/health", "GET /admin/{.+}", "POST x.test/admin/a", "- /other"]);
    let report = table.overlaps(10);
    let explanations: Vec<_> = report.found.iter().map(|overlap| overlap.explanation.as_str()).collect();
    assert_eq!(
        explanations,
        [
            "POST: `/admin/a` at `x.test` wins over `/admin/{.+}` at `*`, because its host is more specific",
            "GET: of two routes for `/admin/{.+}`, the one that names the method wins",
            "GET: `/admin/health` wins over `/admin/{.+}`, because its path is more specific",
        ]
    );
    assert!(report.complete);
    let cut = table.overlaps(2);
    assert!(cut.found.len() == 2 && !cut.complete);
}

#[test]
fn ten_thousand_routes_are_all_found() {
    let mut builder = RouteTable::builder();
    for at in 0..10_000 {
        let pattern = RoutePattern::parse(&format!("/api/service{}/items{at}/{{id}}", at % 100)).unwrap();
        assert!(builder.insert(&[], pattern, &[Method::Get], at).is_ok());
    }
    let table = builder.build();
    for at in 0..10_000 {
        let path = format!("/api/service{}/items{at}/7", at % 100);
        let found = table.find("", &path, &Method::Get);
        assert!(matches!(found, RouteMatch::Route { value, .. } if *value == at), "{path}");
    }
    assert_eq!(table.find("", "/api/service1/items2/7", &Method::Get), RouteMatch::NotFound);
    let report = table.overlaps(100);
    assert!(report.complete && report.found.is_empty());
}
