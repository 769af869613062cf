//! Writes the JSON:API document for an error response of the upstream.

use std::fmt::Write;

use super::reason::reason_phrase;

/// Returns the `errors` document for a response with a 4xx or 5xx status. The title is the reason phrase of the status. `detail`
/// is the response body if the client may see it; its text is cut after 2 KiB. A body that is blank or not UTF-8 is left out.
pub fn map_error(status: u16, request_id: &str, detail: Option<&[u8]>) -> Vec<u8> {
    let mut out = String::with_capacity(256);
    out.push_str("{\"jsonapi\":{\"version\":\"1.1\"},\"errors\":[{");
    if !request_id.is_empty() {
        out.push_str("\"id\":");
        push_string(&mut out, request_id);
        out.push(',');
    }
    let _ = write!(out, "\"status\":\"{status}\",\"title\":\"{}\"", reason_phrase(status));
    let text = detail.and_then(|bytes| std::str::from_utf8(bytes).ok()).map(str::trim).filter(|text| !text.is_empty());
    if let Some(text) = text {
        out.push_str(",\"detail\":");
        push_string(&mut out, shortened(text));
    }
    out.push_str("}]}");
    out.into_bytes()
}

/// Returns the first `MOST_BYTES` bytes of a text, or fewer so that the last character is complete.
fn shortened(text: &str) -> &str {
    (0..=MOST_BYTES.min(text.len())).rev().find_map(|end| text.get(..end)).unwrap_or_default()
}

/// Appends a JSON string (RFC 8259 §7).
fn push_string(out: &mut String, text: &str) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            '\n' => out.push_str("\\n"),
            letter if letter.is_ascii_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(letter));
            }
            letter => out.push(letter),
        }
    }
    out.push('"');
}

/// The maximum length of `detail` before escaping.
const MOST_BYTES: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn errors_have_an_id_a_status_and_a_title() {
        assert_eq!(
            String::from_utf8(map_error(404, "req-1", None)).unwrap(),
            r#"{"jsonapi":{"version":"1.1"},"errors":[{"id":"req-1","status":"404","title":"Not Found"}]}"#
        );
        assert_eq!(
            String::from_utf8(map_error(599, "", Some(b" no \"stock\"\n\x01\\ "))).unwrap(),
            r#"{"jsonapi":{"version":"1.1"},"errors":[{"status":"599","title":"Server Error","detail":"no \"stock\"\n\u0001\\"}]}"#
        );
    }

    #[test]
    fn details_are_bounded_text() {
        let detail = |body: &[u8]| {
            let document: Value = serde_json::from_slice(&map_error(500, "r", Some(body))).unwrap();
            document.pointer("/errors/0/detail").cloned()
        };
        assert_eq!(detail(b"\r\n "), None);
        assert_eq!(detail(b"\xff"), None);
        assert_eq!(detail("x".repeat(2049).as_bytes()), Some(json!("x".repeat(2048))));
        assert_eq!(detail(format!("x{}", "ü".repeat(1024)).as_bytes()), Some(json!(format!("x{}", "ü".repeat(1023)))));
        assert_eq!(detail("\u{80}\u{2028}é😀".as_bytes()), Some(json!("\u{80}\u{2028}é😀")));
    }
}
