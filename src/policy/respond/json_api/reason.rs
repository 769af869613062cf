//! The reason phrases of HTTP error statuses.

/// Returns the reason phrase of an error status, or the name of its class if the status is not registered.
pub(super) fn reason_phrase(status: u16) -> &'static str {
    let known = PHRASES.iter().find(|(known, _)| *known == status);
    let class = match status {
        400..500 => "Client Error",
        500..600 => "Server Error",
        _ => "Error",
    };
    known.map_or(class, |(_, phrase)| phrase)
}

/// The statuses of RFC 9110 §15.5 and §15.6, and those that other RFCs add.
const PHRASES: [(u16, &str); 39] = [
    (400, "Bad Request"),
    (401, "Unauthorized"),
    (402, "Payment Required"),
    (403, "Forbidden"),
    (404, "Not Found"),
    (405, "Method Not Allowed"),
    (406, "Not Acceptable"),
    (407, "Proxy Authentication Required"),
    (408, "Request Timeout"),
    (409, "Conflict"),
    (410, "Gone"),
    (411, "Length Required"),
    (412, "Precondition Failed"),
    (413, "Content Too Large"),
    (414, "URI Too Long"),
    (415, "Unsupported Media Type"),
    (416, "Range Not Satisfiable"),
    (417, "Expectation Failed"),
    (421, "Misdirected Request"),
    (422, "Unprocessable Content"),
    // RFC 4918.
    (423, "Locked"),
    (424, "Failed Dependency"),
    // RFC 8470.
    (425, "Too Early"),
    (426, "Upgrade Required"),
    // RFC 6585.
    (428, "Precondition Required"),
    (429, "Too Many Requests"),
    (431, "Request Header Fields Too Large"),
    // RFC 7725.
    (451, "Unavailable For Legal Reasons"),
    (500, "Internal Server Error"),
    (501, "Not Implemented"),
    (502, "Bad Gateway"),
    (503, "Service Unavailable"),
    (504, "Gateway Timeout"),
    (505, "HTTP Version Not Supported"),
    // RFC 2295.
    (506, "Variant Also Negotiates"),
    // RFC 4918.
    (507, "Insufficient Storage"),
    // RFC 5842.
    (508, "Loop Detected"),
    // RFC 2774.
    (510, "Not Extended"),
    // RFC 6585.
    (511, "Network Authentication Required"),
];

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn phrases_are_those_of_the_registry() {
        assert!(PHRASES.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for (status, phrase) in [
            (400, "Bad Request"),
            (418, "Client Error"),
            (499, "Client Error"),
            (503, "Service Unavailable"),
            (599, "Server Error"),
            (302, "Error"),
        ] {
            assert_eq!(reason_phrase(status), phrase);
        }
    }
}
