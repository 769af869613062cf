//! Reads and writes the Protobuf wire format field by field, without a schema and without generated code.
//!
//! The gateway needs only a few small messages. The modules that read or write them show the field numbers.

/// The bytes of one message, as an iterator over its fields. If the bytes are malformed, the last item is `None`.
#[derive(Clone, Copy, Debug)]
pub struct Message<'b>(pub &'b [u8]);

/// One field of a message: its number and its value. The variants are the wire types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire<'b> {
    /// The wire type of integers, booleans and enum values.
    Varint(u64, u64),
    /// The wire type of values with eight bytes, such as `double`. The variant contains the bits of the value.
    Fixed64(u64, u64),
    /// The wire type of strings, bytes and nested messages.
    Bytes(u64, &'b [u8]),
    /// The wire type of values with four bytes, such as `float`. The variant contains the bits of the value.
    Fixed32(u64, u32),
}

impl<'b> Iterator for Message<'b> {
    type Item = Option<Wire<'b>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'b> Message<'b> {
    fn field(&mut self) -> Option<Wire<'b>> {
        let tag = self.varint()?;
        let number = tag >> 3;
        match tag & 7 {
            0 => Some(Wire::Varint(number, self.varint()?)),
            1 => Some(Wire::Fixed64(number, u64::from_le_bytes(self.take(8)?.try_into().ok()?))),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Some(Wire::Bytes(number, self.take(length)?))
            }
            5 => Some(Wire::Fixed32(number, u32::from_le_bytes(self.take(4)?.try_into().ok()?))),
            _ => None,
        }
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = *self.take(1)? else { return None };
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }
}

/// Appends a field with a string, bytes or a nested message to an encoded message.
pub fn put_bytes(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    put_varint(out, field << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends a field with an integer to an encoded message.
pub fn put_number(out: &mut Vec<u8>, field: u64, number: u64) {
    put_varint(out, field << 3);
    put_varint(out, number);
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn written_fields_can_be_read_back() {
        let long = [7_u8; 300];
        let mut out = Vec::new();
        put_number(&mut out, 1, 150);
        put_bytes(&mut out, 2, b"testing");
        put_bytes(&mut out, 1_000, &long);
        put_number(&mut out, 3, u64::MAX);
        // The two examples from the Protobuf encoding documentation.
        assert!(out.starts_with(b"\x08\x96\x01\x12\x07testing"));
        let read: Option<Vec<_>> = Message(&out).collect();
        let expected =
            [Wire::Varint(1, 150), Wire::Bytes(2, b"testing"), Wire::Bytes(1_000, &long), Wire::Varint(3, u64::MAX)];
        assert_eq!(read.as_deref(), Some(&expected[..]));
    }

    #[test]
    fn malformed_bytes_end_the_message() {
        for bytes in [
            b"\x0a\x05abc".as_slice(),
            b"\x08",
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x0b",
            b"\x0d\x01\x02",
            b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        ] {
            let read: Vec<_> = Message(bytes).collect();
            assert_eq!(read, [None], "{bytes:?}");
        }
    }
}
