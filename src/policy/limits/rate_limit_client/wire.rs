//! Encodes and decodes the fields of `envoy.service.ratelimit.v3` messages that the filter uses.

use std::time::Duration;

use crate::protobuf::{Message, Wire, put_bytes, put_number};

/// The gRPC service that counts requests.
pub const SERVICE: &str = "envoy.service.ratelimit.v3.RateLimitService";
/// The only method of [`SERVICE`].
pub const METHOD: &str = "ShouldRateLimit";

/// The answer of the service about one descriptor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitAnswer {
    /// Whether the service refuses the requested hits because they exceed the limit.
    pub over: bool,
    /// The limit, in hits per window; `None` if the answer does not contain it.
    pub limit: Option<u32>,
    /// The number of hits that remain in this window; `None` if the answer does not contain it.
    pub remaining: Option<u32>,
    /// The time until the window ends; `None` if the answer does not contain it.
    pub reset: Option<Duration>,
}

/// Encodes `RateLimitDescriptor { repeated Entry entries = 1 }`, `Entry { key = 1; value = 2 }`
/// (envoy.extensions.common.ratelimit.v3).
pub fn descriptor<'e>(entries: impl IntoIterator<Item = (&'e str, &'e str)>) -> Vec<u8> {
    let mut out = Vec::with_capacity(96);
    let mut pair = Vec::with_capacity(64);
    for (key, value) in entries {
        pair.clear();
        put_bytes(&mut pair, 1, key.as_bytes());
        put_bytes(&mut pair, 2, value.as_bytes());
        put_bytes(&mut out, 1, &pair);
    }
    out
}

/// Encodes `RateLimitRequest { domain = 1; repeated RateLimitDescriptor descriptors = 2; uint32 hits_addend = 3 }`.
pub fn request(domain: &str, descriptor: &[u8], hits: u32) -> Vec<u8> {
    let mut out = Vec::with_capacity(16 + domain.len() + descriptor.len());
    put_bytes(&mut out, 1, domain.as_bytes());
    put_bytes(&mut out, 2, descriptor);
    put_number(&mut out, 3, hits.into());
    out
}

/// Returns the shortest response that grants the requested hits.
pub fn granted() -> Vec<u8> {
    let mut out = Vec::new();
    put_number(&mut out, 1, OK);
    out
}

/// Encodes the Envoy cluster of a call: `GrpcService { EnvoyGrpc envoy_grpc = 1 }`, `EnvoyGrpc { cluster_name = 1 }`. Envoy also
/// accepts a plain cluster name, but not if the name can be parsed as such a message.
pub fn grpc_service(cluster: &str) -> Vec<u8> {
    let (mut inner, mut out) = (Vec::new(), Vec::new());
    put_bytes(&mut inner, 1, cluster.as_bytes());
    put_bytes(&mut out, 1, &inner);
    out
}

/// Parses `RateLimitResponse { Code overall_code = 1; repeated DescriptorStatus statuses = 2; repeated HeaderValue
/// response_headers_to_add = 3 }`; `None` if it is malformed or contains no decision.
pub fn answer(bytes: &[u8]) -> Option<LimitAnswer> {
    let (mut code, mut answer, mut headers) = (0, LimitAnswer::default(), LimitAnswer::default());
    for field in Message(bytes) {
        match field? {
            Wire::Varint(1, value) => code = value,
            // The request contains one descriptor, so the response has one status.
            Wire::Bytes(2, status) => answer = read_status(status)?,
            Wire::Bytes(3, header) => read_header(header, &mut headers)?,
            _ => {}
        }
    }
    // Some services send no statuses, and report the limit, the reset and the remaining hits in `response_headers_to_add`
    // instead.
    answer.limit = answer.limit.or(headers.limit);
    answer.reset = answer.reset.or(headers.reset);
    answer.remaining = answer.remaining.or(headers.remaining);
    match code {
        OK => Some(LimitAnswer { over: false, ..answer }),
        OVER_LIMIT => Some(LimitAnswer { over: true, ..answer }),
        _ => None,
    }
}

/// Parses `DescriptorStatus { code = 1; RateLimit current_limit = 2; uint32 limit_remaining = 3; Duration duration_until_reset =
/// 4 }`.
fn read_status(bytes: &[u8]) -> Option<LimitAnswer> {
    let (mut answer, mut remaining) = (LimitAnswer::default(), 0);
    for field in Message(bytes) {
        match field? {
            Wire::Bytes(2, limit) => answer.limit = number_in(limit, 1)?.map(clamp),
            Wire::Varint(3, left) => remaining = left,
            Wire::Bytes(4, duration) => {
                // Protobuf encodes a negative number of seconds as a value above 2^63.
                let seconds = number_in(duration, 1)?.filter(|s| *s < MAX_SECONDS).unwrap_or(0);
                let nanos = number_in(duration, 2)?.and_then(|n| u32::try_from(n).ok()).filter(|n| *n < 1_000_000_000);
                answer.reset = Some(Duration::new(seconds, nanos.unwrap_or(0)));
            }
            _ => {}
        }
    }
    // Protobuf omits zeros. If a limit or a reset is present, an absent `limit_remaining` therefore means that zero hits remain.
    let known = answer.limit.is_some() || answer.reset.is_some();
    answer.remaining = known.then(|| clamp(remaining));
    Some(answer)
}

/// Parses `HeaderValue { key = 1; value = 2; raw_value = 3 }`. Reads the numbers from the three headers that Limitador and
/// Envoy's reference service send (draft 03 of the RateLimit headers).
fn read_header(bytes: &[u8], found: &mut LimitAnswer) -> Option<()> {
    let (mut name, mut value) = (&[] as &[u8], &[] as &[u8]);
    for field in Message(bytes) {
        match field? {
            Wire::Bytes(1, bytes) => name = bytes,
            Wire::Bytes(2 | 3, bytes) => value = bytes,
            _ => {}
        }
    }
    // The value may have several parts: `X-RateLimit-Limit: 3, 3;w=10` repeats the number with its window.
    let number = value.split(|b| *b == b',' || *b == b';').next().and_then(|first| std::str::from_utf8(first).ok());
    let Some(number) = number.and_then(|text| text.trim().parse::<u64>().ok()) else { return Some(()) };
    if name.eq_ignore_ascii_case(b"x-ratelimit-limit") {
        found.limit = Some(clamp(number));
    } else if name.eq_ignore_ascii_case(b"x-ratelimit-remaining") {
        found.remaining = Some(clamp(number));
    } else if name.eq_ignore_ascii_case(b"x-ratelimit-reset") && number < MAX_SECONDS {
        found.reset = Some(Duration::from_secs(number));
    }
    Some(())
}

/// Returns the value of the integer field with the number `wanted`. The outer `None` means that the message is malformed.
fn number_in(bytes: &[u8], wanted: u64) -> Option<Option<u64>> {
    let mut found = None;
    for field in Message(bytes) {
        if let Wire::Varint(number, value) = field?
            && number == wanted
        {
            found = Some(value);
        }
    }
    Some(found)
}

fn clamp(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// The values of `RateLimitResponse.Code`.
const OK: u64 = 1;
const OVER_LIMIT: u64 = 2;

/// The number of seconds in a century. A longer time until a reset is not plausible: in a status it counts as zero, and in a
/// header it is ignored.
const MAX_SECONDS: u64 = 3_155_760_000;

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_request_is_encoded_as_the_protocol_defines() {
        let descriptor = descriptor([("limit", "per-client"), ("client", "c1")]);
        let expected =
            b"\x0a\x06portal\x12\x23\x0a\x13\x0a\x05limit\x12\x0aper-client\x0a\x0c\x0a\x06client\x12\x02c1\x18\x07";
        assert_eq!(request("portal", &descriptor, 7), expected);
    }

    #[test]
    fn an_answer_is_read_from_statuses_or_headers() {
        let ok =
            LimitAnswer { over: false, limit: Some(3), remaining: Some(0), reset: Some(Duration::from_millis(9_500)) };
        // The bytes mean: overall_code OK, and one status with OK, 3 per second, 0 left, 9.5 s until the reset.
        let status = b"\x08\x01\x12\x12\x08\x01\x12\x04\x08\x03\x10\x01\x22\x08\x08\x09\x10\x80\xca\xb5\xee\x01";
        assert_eq!(answer(status), Some(ok), "statuses");
        let mut headers = b"\x08\x02".to_vec();
        for (name, value) in [
            ("X-RateLimit-Limit", "3, 3;w=10"),
            ("X-RateLimit-Remaining", "0"),
            ("x-ratelimit-reset", "9"),
            ("X-O", "-"),
        ] {
            let mut pair = Vec::new();
            put_bytes(&mut pair, 1, name.as_bytes());
            put_bytes(&mut pair, 2, value.as_bytes());
            put_bytes(&mut headers, 3, &pair);
        }
        let over = LimitAnswer { over: true, reset: Some(Duration::from_secs(9)), ..ok };
        assert_eq!(answer(&headers), Some(over), "headers");
        assert_eq!(answer(b"\x08\x01"), Some(LimitAnswer::default()), "a service that reports only the decision");
    }

    #[test]
    fn a_message_without_a_decision_is_no_answer() {
        for bytes in [b"".as_slice(), b"\x08\x00", b"\x08\x03", b"\x08\x63", b"\x12\x00", b"\x08\x01\x12\x05", b"\xff"]
        {
            assert_eq!(answer(bytes), None, "{bytes:x?}");
        }
    }

    #[test]
    fn absurd_numbers_are_bounded() {
        // The status has 2^64-1 hits per window, the same number of hits left, and -1 seconds until the reset.
        let huge = b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
        let (mut limit, mut duration, mut status, mut bytes) = (vec![0x08], vec![0x08], Vec::new(), vec![0x08, 0x01]);
        limit.extend(huge);
        duration.extend(huge);
        put_bytes(&mut status, 2, &limit);
        put_number(&mut status, 3, u64::MAX);
        put_bytes(&mut status, 4, &duration);
        put_bytes(&mut bytes, 2, &status);
        let expected =
            LimitAnswer { over: false, limit: Some(u32::MAX), remaining: Some(u32::MAX), reset: Some(Duration::ZERO) };
        assert_eq!(answer(&bytes), Some(expected));
    }
}
