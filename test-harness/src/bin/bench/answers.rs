//! The fixed responses of the upstream; the last segment of the request path selects one of them.

/// The bytes of each response.
#[derive(Debug)]
pub struct Answers {
    others: Vec<u8>,
    named: Vec<(&'static str, Vec<u8>)>,
}

impl Answers {
    /// Prepares all responses.
    pub fn new() -> Self {
        let named = [SMALL, LARGE, LIST].map(|name| (name, whole(&body(name))));
        Self { others: whole(&body("")), named: named.into() }
    }

    /// Returns the parts of the response to a request with this head. The upstream pauses between them, so that Envoy reads each
    /// part separately and passes several chunks to its filters.
    pub fn to(&self, head: &[u8]) -> impl Iterator<Item = &[u8]> {
        let path = head.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
        let last = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let named = self.named.iter().find(|(name, _)| name.as_bytes() == last);
        named.map_or(&self.others, |(_, answer)| answer).chunks(PART)
    }
}

/// Returns the body of the response to a path whose last segment is `name`.
pub fn body(name: &str) -> String {
    match name {
        SMALL => text_of(1 << 10),
        LARGE => text_of(64 << 10),
        LIST => list(),
        _ => "{}".to_owned(),
    }
}

/// Returns an object of `size` bytes.
fn text_of(size: usize) -> String {
    let frame = r#"{"text":""}"#;
    frame.replace(r#""""#, &format!("\"{}\"", "x".repeat(size - frame.len())))
}

/// Returns the list that `benches/json_api.rs` maps: orders with nested lines.
fn list() -> String {
    let items: Vec<String> = (0..ITEMS)
        .map(|number| {
            format!(
                r#"{{"order_id":{number},"customer_id":"c-{number:04}","_etag":"W/\"{number}\"","status":"shipped","total":{number}.10,"currency":"EUR","created_at":"2026-12-01T10:00:00Z","lines":[{{"sku":"A-100","quantity":2,"price":9.95}},{{"sku":"B-200","quantity":1,"price":0.50}}]}}"#
            )
        })
        .collect();
    format!(r#"{{"items":[{}],"total":1250,"next":"/orders?page=3"}}"#, items.join(","))
}

fn whole(body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes()
}

const PART: usize = 17 << 10;
/// Selects a response of 1 KiB.
pub const SMALL: &str = "small";
/// Selects a response of 64 KiB, which has four parts.
pub const LARGE: &str = "large";
/// Selects a list of [`ITEMS`] items, 12 kB.
pub const LIST: &str = "list";
/// The number of items in the list.
pub const ITEMS: usize = 50;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_selects_a_body_of_the_promised_size() {
        let answers = Answers::new();
        let size = |path: &str| {
            let head = format!("GET {path} HTTP/1.1\r\nhost: a/{LARGE}\r\n\r\n");
            let answer = answers.to(head.as_bytes()).collect::<Vec<_>>().concat();
            answer.len() - 4 - answer.windows(4).position(|end| end == b"\r\n\r\n").unwrap()
        };
        assert_eq!(["/a/small", "/a/large", "/a/42"].map(size), [1 << 10, 64 << 10, 2]);
        assert!((11_500..12_500).contains(&size("/a/list")));
        assert_eq!(answers.to(b"GET /a/large HTTP/1.1\r\n").count(), 4);
        assert_eq!(answers.to(b"GET /a/list HTTP/1.1\r\n").count(), 1);
    }
}
