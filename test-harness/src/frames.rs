//! Encodes HTTP/2 requests that no library sends, as frames (RFC 9113 §4.1) and field blocks (RFC 7541).

use crate::client::Request;

/// The client's connection preface, which includes an empty SETTINGS frame.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// The type of DATA frames.
pub const DATA: u8 = 0;
/// The type of HEADERS frames.
pub const HEADERS: u8 = 1;
/// The type of CONTINUATION frames.
pub const CONTINUATION: u8 = 9;
/// The flag of the last frame that a peer sends on a stream.
pub const END_STREAM: u8 = 1;
/// The flag of the last frame of a field block.
pub const END_HEADERS: u8 = 4;

/// Returns the field lines of a request in the order that HTTP/2 requires: pseudo-headers first.
pub fn fields(request: &Request) -> Vec<(Vec<u8>, Vec<u8>)> {
    let host = request.headers.iter().find(|(name, _)| name == b"host").map(|(_, value)| value.clone());
    let pseudo: [(&[u8], &[u8]); 4] = [
        (b":method", &request.method),
        (b":scheme", b"http"),
        (b":path", &request.target),
        (b":authority", host.as_deref().unwrap_or_default()),
    ];
    let mut fields: Vec<_> = pseudo.map(|(name, value)| (name.to_vec(), value.to_vec())).into();
    let others = request.headers.iter().filter(|(name, _)| name != b"host");
    fields.extend(others.map(|(name, value)| (name.to_ascii_lowercase(), value.clone())));
    fields
}

/// Encodes fields as a field block. All fields are literals, without indexing or compression (RFC 7541 §6.2.2).
pub fn block(fields: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            length(&mut block, text.len());
            block.extend_from_slice(text);
        }
    }
    block
}

/// Encodes one frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or_default().to_be_bytes();
    [length.get(1..).unwrap_or_default(), &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Returns whether the bytes that a server sent are HTTP/2 frames. The last frame may be incomplete, because the server may have
/// closed the connection.
pub fn are_frames(mut bytes: &[u8]) -> bool {
    while let Some(([a, b, c, kind, ..], _)) = bytes.split_first_chunk::<9>() {
        let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
        if *kind > CONTINUATION || length > 16_384 {
            return false;
        }
        bytes = bytes.get(9 + length..).unwrap_or_default();
    }
    true
}

/// Returns the response status of a stream if its field block encodes the status as an index of the static table (RFC 7541,
/// appendix A). Returns `Some(0)` for a status in any other encoding, and if the server reset the stream.
pub fn status(mut bytes: &[u8], stream: u32) -> Option<u16> {
    const RST_STREAM: u8 = 3;
    while let Some((head, rest)) = bytes.split_first_chunk::<9>() {
        let [a, b, c, kind, _, number @ ..] = *head;
        let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        let payload = rest.get(..length)?;
        if u32::from_be_bytes(number) == stream && [HEADERS, RST_STREAM].contains(&kind) {
            let named = [200, 204, 206, 304, 400, 404, 500];
            let index = payload.first().filter(|_| kind == HEADERS).and_then(|first| first.checked_sub(0x88));
            return Some(index.and_then(|index| named.get(usize::from(index)).copied()).unwrap_or(0));
        }
        bytes = rest.get(length..)?;
    }
    None
}

/// Appends a length to a field block. A length of 127 or more continues in groups of seven bits, lowest group first (RFC 7541
/// §5.1).
fn length(block: &mut Vec<u8>, length: usize) {
    let Some(mut rest) = length.checked_sub(127) else {
        block.extend(u8::try_from(length));
        return;
    };
    block.push(127);
    while rest > 127 {
        block.extend(u8::try_from(rest % 128).map(|low| low | 128));
        rest /= 128;
    }
    block.extend(u8::try_from(rest));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_have_their_length_in_groups_of_seven_bits() {
        let lengths =
            [(10, vec![10]), (126, vec![126]), (127, vec![127, 0]), (254, vec![127, 127]), (1337, vec![127, 186, 9])];
        for (number, bytes) in lengths {
            let mut block = Vec::new();
            length(&mut block, number);
            assert_eq!(block, bytes, "{number}");
        }
    }
}
