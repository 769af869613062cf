//! Encodes the ASN.1 DER types (X.690) that Envoy needs for public keys and ECDSA signatures.

/// Encodes a SEQUENCE of parts that are already encoded.
pub(in crate::policy) fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    element(0x30, &parts.concat())
}

/// Encodes a non-negative INTEGER from big-endian bytes. The encoding is as short as possible, but starts with a zero byte if the
/// first bit would otherwise be a sign (X.690 §8.3).
pub(in crate::policy) fn unsigned_integer(big_endian: &[u8]) -> Vec<u8> {
    let bytes = without_leading_zeros(big_endian);
    match bytes.first() {
        None => element(0x02, &[0]),
        Some(first) if *first >= 0x80 => element(0x02, &[&[0], bytes].concat()),
        Some(_) => element(0x02, bytes),
    }
}

/// Encodes a BIT STRING of whole bytes.
pub(in crate::policy) fn bit_string(bytes: &[u8]) -> Vec<u8> {
    element(0x03, &[&[0], bytes].concat())
}

/// Removes leading zero bytes.
pub(in crate::policy) fn without_leading_zeros(big_endian: &[u8]) -> &[u8] {
    let zeros = big_endian.iter().take_while(|byte| **byte == 0).count();
    big_endian.get(zeros..).unwrap_or_default()
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let length = without_leading_zeros(&length);
    let mut out = Vec::with_capacity(content.len() + length.len() + 2);
    out.push(tag);
    match length {
        [] => out.push(0),
        [short] if *short < 0x80 => out.push(*short),
        // The length has at most eight bytes, so the number of these bytes fits in seven bits.
        long => {
            out.push(0x80 | long.len() as u8);
            out.extend_from_slice(long);
        }
    }
    out.extend_from_slice(content);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn integers_are_minimal_and_never_negative() {
        let cases: &[(&[u8], &[u8])] = &[
            (&[], &[2, 1, 0]),
            (&[0, 0], &[2, 1, 0]),
            (&[1], &[2, 1, 1]),
            (&[0x7f], &[2, 1, 0x7f]),
            (&[0x80], &[2, 2, 0, 0x80]),
            (&[0, 0, 0x80, 0], &[2, 3, 0, 0x80, 0]),
        ];
        for (bytes, want) in cases {
            assert_eq!(&unsigned_integer(bytes), want, "{bytes:?}");
        }
    }

    #[test]
    fn lengths_take_the_short_form_below_128() {
        for (content, want) in [(0, vec![0x30, 0]), (127, vec![0x30, 127]), (128, vec![0x30, 0x81, 128])] {
            assert!(sequence(&[&vec![0; content]]).starts_with(&want), "{content}");
        }
        assert!(sequence(&[&vec![0; 294]]).starts_with(&[0x30, 0x82, 1, 38]));
    }
}
