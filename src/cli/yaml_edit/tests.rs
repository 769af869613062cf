//! Tests edits of common layouts; each result is compared character by character.

use super::*;

const CLIENT: [PathStep<'static>; 2] = [PathStep::Key("clients"), PathStep::Item(0)];
const KEY: [PathStep<'static>; 4] =
    [PathStep::Key("clients"), PathStep::Item(0), PathStep::Key("keys"), PathStep::Item(0)];

fn edited(text: &str, edit: impl Fn(&mut Draft) -> Option<()>) -> Option<String> {
    let mut draft = Draft::new(text, &yaml::read(text).unwrap());
    edit(&mut draft)?;
    draft.finish().map(|(text, _)| text)
}

fn pushed(text: &str) -> Option<String> {
    edited(text, |draft| draft.push(&CLIENT, "keys", &[("id", "k-2".to_string()), ("at", "2026-01-01".to_string())]))
}

fn set(text: &str) -> Option<String> {
    edited(text, |draft| draft.set(&KEY, "expires", "2026-02-02"))
}

#[test]
fn an_item_is_added_in_the_layout_of_the_list() {
    for (before, after) in [
        (
            "clients:\n  - id: a # first\n    keys:\n      # of old\n      - id: k-1\n        at: x # why\n      # none follows\n  - id: b\n",
            "clients:\n  - id: a # first\n    keys:\n      # of old\n      - id: k-1\n        at: x # why\n      - id: k-2\n        at: '2026-01-01'\n      # none follows\n  - id: b\n",
        ),
        (
            "clients:\n- id: a\n  keys:\n  - { id: k-1 }\n  plan: x\n",
            "clients:\n- id: a\n  keys:\n  - { id: k-1 }\n  - { id: k-2, at: '2026-01-01' }\n  plan: x\n",
        ),
        (
            "clients:\n  - { id: a, keys: [{ id: k-1 }] } # it's\n",
            "clients:\n  - { id: a, keys: [{ id: k-1 }, { id: k-2, at: '2026-01-01' }] } # it's\n",
        ),
        ("clients: [{ id: a, keys: [] }]\n", "clients: [{ id: a, keys: [ { id: k-2, at: '2026-01-01' } ] }]\n"),
        ("clients: [{ id: a }]", "clients: [{ id: a, keys: [{ id: k-2, at: '2026-01-01' }] }]"),
        (
            "clients:\n  - id: a\n    text: |\n      much\n\n      text\n\n# the end\n",
            "clients:\n  - id: a\n    text: |\n      much\n\n      text\n    keys:\n      - id: k-2\n        at: '2026-01-01'\n\n# the end\n",
        ),
        (
            "clients:\n  - id: a\n    keys:\n",
            "clients:\n  - id: a\n    keys:\n      - id: k-2\n        at: '2026-01-01'\n",
        ),
        (
            "clients:\r\n  - id: a\r\n",
            "clients:\r\n  - id: a\r\n    keys:\r\n      - id: k-2\r\n        at: '2026-01-01'\r\n",
        ),
        (
            "{\n  \"clients\": [\n    {\n      \"id\": \"a\",\n      \"keys\": [\n        { \"id\": \"k]\\\"1\" }\n      ]\n    }\n  ]\n}\n",
            "{\n  \"clients\": [\n    {\n      \"id\": \"a\",\n      \"keys\": [\n        { \"id\": \"k]\\\"1\" },\n        { \"id\": \"k-2\", \"at\": \"2026-01-01\" }\n      ]\n    }\n  ]\n}\n",
        ),
        (
            "{\"clients\":[{\"id\":\"a\",\"keys\":[{\"id\":\"k-1\"}]}]}",
            "{\"clients\":[{\"id\":\"a\",\"keys\":[{\"id\":\"k-1\"}, { \"id\": \"k-2\", \"at\": \"2026-01-01\" }]}]}",
        ),
        (
            "{\n\t\"clients\": [{\n\t\t\"id\": \"a\"\n\t}]\n}",
            "{\n\t\"clients\": [{\n\t\t\"id\": \"a\",\n\t\t\"keys\": [{ \"id\": \"k-2\", \"at\": \"2026-01-01\" }]\n\t}]\n}",
        ),
        (
            "clients:\n  - id: a\n    keys:\n      -\n        id: k-1\n",
            "clients:\n  - id: a\n    keys:\n      -\n        id: k-1\n      - id: k-2\n        at: '2026-01-01'\n",
        ),
        (
            "clients:\n  - id: a\n    text: |+\n      much\n\n# the end\n",
            "clients:\n  - id: a\n    text: |+\n      much\n\n    keys:\n      - id: k-2\n        at: '2026-01-01'\n# the end\n",
        ),
        (
            "clients:\r\n  - id: a\r\n    keys:\r\n      - id: k-1 # ü\r\n\r\n  - id: b\r\n",
            "clients:\r\n  - id: a\r\n    keys:\r\n      - id: k-1 # ü\r\n      - id: k-2\r\n        at: '2026-01-01'\r\n\r\n  - id: b\r\n",
        ),
        (
            "{\r\n  \"clients\": [{\r\n    \"id\": \"a\"\r\n  }]\r\n}\r\n",
            "{\r\n  \"clients\": [{\r\n    \"id\": \"a\",\r\n    \"keys\": [{ \"id\": \"k-2\", \"at\": \"2026-01-01\" }]\r\n  }]\r\n}\r\n",
        ),
        (
            "# head\n%YAML 1.2\n---\nclients:\n  - id: 😀日本\n    keys: [{ id: k-1 }]\n... # end\n",
            "# head\n%YAML 1.2\n---\nclients:\n  - id: 😀日本\n    keys: [{ id: k-1 }, { id: k-2, at: '2026-01-01' }]\n... # end\n",
        ),
        (
            "\u{feff}clients:\n  - id: a\n    keys:\n      - id: k-1\n",
            "\u{feff}clients:\n  - id: a\n    keys:\n      - id: k-1\n      - id: k-2\n        at: '2026-01-01'\n",
        ),
        (
            "clients:\n  - id: a\n    keys: [\n      { id: k-1 }, # it's\n      { id: k-3 }\n    ]\n",
            "clients:\n  - id: a\n    keys: [\n      { id: k-1 }, # it's\n      { id: k-3 },\n      { id: k-2, at: '2026-01-01' }\n    ]\n",
        ),
        (
            "clients:\n  - id: a\n    keys: [\n      { id: k-1 }, ]\n",
            "clients:\n  - id: a\n    keys: [\n      { id: k-1 },\n      { id: k-2, at: '2026-01-01' }, ]\n",
        ),
        (
            "base: &base { plan: x }\nclients:\n  - &a\n    id: a\n    base: *base\n    keys: &keys\n      - id: k-1\n",
            "base: &base { plan: x }\nclients:\n  - &a\n    id: a\n    base: *base\n    keys: &keys\n      - id: k-1\n      - id: k-2\n        at: '2026-01-01'\n",
        ),
    ] {
        assert_eq!(pushed(before).as_deref(), Some(after), "{before}");
    }
}

#[test]
fn a_member_is_added_or_its_value_is_replaced() {
    for (before, after) in [
        (
            "clients:\n  - keys:\n      - id: k-1 # old\n        at: x\n      - id: k-2\n",
            "clients:\n  - keys:\n      - id: k-1 # old\n        at: x\n        expires: '2026-02-02'\n      - id: k-2\n",
        ),
        (
            "clients: [{ keys: [{ id: k-1, expires: 2030-01-01 }, { id: k-2, expires: 2030-01-01 }] }]",
            "clients: [{ keys: [{ id: k-1, expires: \"2026-02-02\" }, { id: k-2, expires: 2030-01-01 }] }]",
        ),
        (
            "clients:\n  - keys:\n      - expires: '2030-01-01' # end\n        id: k-1\n",
            "clients:\n  - keys:\n      - expires: '2026-02-02' # end\n        id: k-1\n",
        ),
        ("clients: [{ keys: [{ id: ü }] }]", "clients: [{ keys: [{ id: ü, expires: '2026-02-02' }] }]"),
        (
            "{\"clients\": [{\"keys\": [{\n  \"id\": \"k-1\",\n  \"expires\": \"2030-01-01\"\n}]}]}",
            "{\"clients\": [{\"keys\": [{\n  \"id\": \"k-1\",\n  \"expires\": \"2026-02-02\"\n}]}]}",
        ),
        (
            "{\"clients\": [{\"keys\": [{\n  \"id\": \"k-1\"\n}]}]}",
            "{\"clients\": [{\"keys\": [{\n  \"id\": \"k-1\",\n  \"expires\": \"2026-02-02\"\n}]}]}",
        ),
        (
            "clients: [{ keys: [{ id: k-1, expires: \"2030\\u002d01-01\" }] }]",
            "clients: [{ keys: [{ id: k-1, expires: \"2026-02-02\" }] }]",
        ),
    ] {
        assert_eq!(set(before).as_deref(), Some(after), "{before}");
    }
}

#[test]
fn a_layout_that_is_not_understood_is_not_changed() {
    for text in [
        "a: &k [{ id: k-1 }]\nclients:\n  - id: a\n    keys: *k\n",
        "clients:\n  - id: a\n    keys: x\n",
        "clients:\n  - id: a\n    keys: ~\n",
        "clients:\n  - id: a\n    keys: {}\n",
        "clients: []\n",
    ] {
        assert_eq!(pushed(text), None, "{text}");
    }
    for text in [
        "clients: [{ keys: [{ id: k-1, expires: [] }] }]",
        "clients:\n  - keys:\n      - &k { id: k-1 }\nother: *k\n",
        "a: &k { id: k-1 }\nclients: [{ keys: [*k] }]\n",
    ] {
        assert_eq!(set(text), None, "{text}");
    }
}
