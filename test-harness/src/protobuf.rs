//! Encodes a `google.protobuf.Struct` as Envoy does; tests pass the result to the filter's parsers.

use serde_json::{Map, Value};

/// Encodes `message Struct { map<string, Value> fields = 1; }`. A value that is not an object becomes an empty Struct.
pub fn of_struct(value: &Value) -> Vec<u8> {
    value.as_object().map(fields).unwrap_or_default()
}

fn fields(members: &Map<String, Value>) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in members {
        let mut entry = Vec::new();
        delimited(1, name.as_bytes(), &mut entry);
        delimited(2, &of_value(value), &mut entry);
        delimited(1, &entry, &mut out);
    }
    out
}

/// Encodes `message Value { oneof kind { null = 1; number = 2; string = 3; bool = 4; Struct = 5; ListValue = 6; } }`.
fn of_value(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    match value {
        Value::Null => out.extend([1 << 3, 0]),
        Value::Number(number) => {
            out.push(2 << 3 | 1);
            out.extend(number.as_f64().unwrap_or_default().to_bits().to_le_bytes());
        }
        Value::String(text) => delimited(3, text.as_bytes(), &mut out),
        Value::Bool(flag) => out.extend([4 << 3, u8::from(*flag)]),
        Value::Object(members) => delimited(5, &fields(members), &mut out),
        Value::Array(items) => {
            let mut list = Vec::new();
            items.iter().for_each(|item| delimited(1, &of_value(item), &mut list));
            delimited(6, &list, &mut out);
        }
    }
    out
}

fn delimited(field: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(field << 3 | 2);
    let mut length = bytes.len();
    while let (low, 0x80..) = (length & 0x7f, length) {
        out.push(u8::try_from(low).unwrap_or_default() | 0x80);
        length >>= 7;
    }
    out.push(u8::try_from(length).unwrap_or_default());
    out.extend_from_slice(bytes);
}
