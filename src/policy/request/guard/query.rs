//! Parses the parameters of a query, and removes a parameter from a query.
//!
//! Servers disagree about separators, parameter names and malformed escapes. So the parser also returns parameters that only
//! some servers read under a given name.

use std::borrow::Cow;

use super::percent;

/// Returns an iterator over the names and values of a query, decoded like a form (WHATWG URL,
/// "`application/x-www-form-urlencoded` parsing"). `+` is a space, a malformed escape is kept, and a pair without `=` has an
/// empty value. A repeated name is returned for each occurrence.
pub fn query_pairs(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name), decode(value))
    })
}

/// One parameter of a query, as returned by [`parameters`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryParameter<'q> {
    /// The decoded name.
    pub name: Cow<'q, str>,
    /// The decoded value; `None` if an escape is malformed or the decoded bytes are not UTF-8.
    pub value: Option<Cow<'q, str>>,
    /// Whether the parameter is a part of a pair that contains `;`. Only servers that split pairs at `;` find the parameter.
    behind_semicolon: bool,
    /// Whether the name has a malformed escape. Servers then read different names: ASP.NET reads `%u006fp` as `op`.
    has_malformed_name: bool,
}

/// The result of comparing the name of a query parameter with a name from the configuration document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterNameMatch {
    /// Every server reads the parameter under this name.
    Exact,
    /// Only some servers read the parameter under this name.
    Respelled,
    /// No known server reads the parameter under this name.
    Other,
}

/// Returns an iterator over the parameters of a query, split like in [`query_pairs`]. After a pair that contains `;`, it also
/// returns the parts between the semicolons, because some servers split there too (HTML 4.01 §B.2.2).
pub fn parameters(query: &str) -> impl Iterator<Item = QueryParameter<'_>> {
    query.split('&').filter(|pair| !pair.is_empty()).flat_map(|pair| {
        let pieces =
            pair.contains(';').then(|| pair.split(';')).into_iter().flatten().filter(|piece| !piece.is_empty());
        std::iter::once(parameter(pair, false)).chain(pieces.map(|piece| parameter(piece, true)))
    })
}

fn parameter(pair: &str, behind_semicolon: bool) -> QueryParameter<'_> {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    let has_malformed_name = decode_strictly(name).is_none();
    QueryParameter { name: decode(name), value: decode_strictly(value), behind_semicolon, has_malformed_name }
}

impl QueryParameter<'_> {
    /// Compares the parameter's name with `name` as servers do. ASP.NET ignores case. PHP drops leading spaces, ends a name at a
    /// NUL, and reads ` ` and `.` as `_`. PHP, Rack and `qs` read `name[]` and `name[key]` as `name`; Rack and `qs` also read
    /// `[name]` as `name`.
    pub fn naming(&self, name: &str) -> ParameterNameMatch {
        if !self.behind_semicolon && self.name == name {
            return ParameterNameMatch::Exact;
        }
        let is_respelled = self.has_malformed_name || starts_with_name(&self.name, name);
        if is_respelled { ParameterNameMatch::Respelled } else { ParameterNameMatch::Other }
    }
}

/// Returns `true` if `sent` equals `name`, or starts with `name` followed by a bracket. Compares the names as [`folded`] returns
/// them.
fn starts_with_name(sent: &str, name: &str) -> bool {
    let mut sent = folded(sent);
    let mut name = folded(name);
    loop {
        match (sent.next(), name.next()) {
            (None | Some(b'[' | b']'), None) => return true,
            (Some(a), Some(b)) if a == b => {}
            _ => return false,
        }
    }
}

/// Returns the name as the most lenient servers read it: see [`QueryParameter::naming`].
fn folded(name: &str) -> impl Iterator<Item = u8> {
    let name = name.trim_start_matches([' ', '[', ']']).bytes().take_while(|byte| *byte != 0);
    name.map(|byte| if matches!(byte, b' ' | b'.') { b'_' } else { byte.to_ascii_lowercase() })
}

/// Returns the query without the pairs that have this decoded name. All other pairs stay unchanged.
pub fn without_query_pair(query: &str, name: &str) -> String {
    let is_other = |pair: &&str| {
        let raw_name = pair.split_once('=').map_or(*pair, |(raw_name, _)| raw_name);
        pair.is_empty() || decode(raw_name) != name
    };
    query.split('&').filter(is_other).collect::<Vec<_>>().join("&")
}

fn decode(text: &str) -> Cow<'_, str> {
    if text.contains('+') {
        // Replaces `+` before decoding, because `%2B` must become a plus and not a space.
        return Cow::Owned(percent::decode(&text.replace('+', " ")).into_owned());
    }
    percent::decode(text)
}

/// Decodes like [`query_pairs`]; `None` if servers may decode the string differently.
fn decode_strictly(text: &str) -> Option<Cow<'_, str>> {
    let well_formed = text.split('%').skip(1).all(|after| after.get(..2).and_then(percent::byte).is_some());
    let is_text = || String::from_utf8(percent::bytes(text).collect()).is_ok();
    (!text.contains('%') || well_formed && is_text()).then(|| decode(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn pairs_are_decoded_as_forms_are() {
        let pairs: Vec<_> = query_pairs("a=1&&b&a=x+y%2Bz&=v&c=%zz&d=e=f&caf%C3%A9=%ff").collect();
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(
            pairs,
            [("a", "1"), ("b", ""), ("a", "x y+z"), ("", "v"), ("c", "%zz"), ("d", "e=f"), ("café", "\u{fffd}")]
        );
        assert_eq!(query_pairs("").count(), 0);
    }

    #[test]
    fn parameters_include_the_readings_of_other_servers() {
        let naming = |query, name| parameters(query).map(|found| found.naming(name)).collect::<Vec<_>>();
        use ParameterNameMatch::{Exact, Other, Respelled};
        for (query, name, expected) in [
            ("op=1", "op", vec![Exact]),
            ("%6Fp", "op", vec![Exact]),
            ("a+b=1&a%20b=2", "a b", vec![Exact, Exact]),
            ("=1", "", vec![Exact]),
            ("&&", "", vec![]),
            ("op[]=1&op%5Bx%5D=2&[op]=3&op]=4", "op", vec![Respelled; 4]),
            ("OP=1&+op=2&op%00x=3", "op", vec![Respelled; 3]),
            ("a.b=1&a+b=2", "a_b", vec![Respelled; 2]),
            ("a_b=1", "a.b", vec![Respelled]),
            ("opx=1&xop=2&o=3&x[op]=4", "op", vec![Other; 4]),
            ("filter=1&filter[a]=2&filter[b]=3", "filter[a]", vec![Other, Exact, Other]),
            ("x=1;op=2", "op", vec![Other, Other, Respelled]),
            ("op=1;x=2", "op", vec![Exact, Respelled, Other]),
            ("%u006fp=1&o%u0070=2&%ff=3&%zz=4", "op", vec![Respelled; 4]),
            ("%zz=1&x=%zz", "%zz", vec![Exact, Other]),
        ] {
            assert_eq!(naming(query, name), expected, "{query} {name}");
        }
        let value = |query| parameters(query).next().and_then(|found| found.value.map(Cow::into_owned));
        for (query, expected) in [
            ("a=x+y%2Bz", Some("x y+z")),
            ("a", Some("")),
            ("a=%C3%A9", Some("é")),
            ("a=%EF%BF%BD", Some("\u{fffd}")),
            ("a=%ff", None),
            ("a=%zz", None),
            ("a=50%", None),
            ("a=%u0070", None),
        ] {
            assert_eq!(value(query).as_deref(), expected, "{query}");
        }
    }

    #[test]
    fn removing_a_pair_keeps_the_others_unchanged() {
        for (query, rest) in [
            ("token=t", ""),
            ("a=1&token=t&b=%32", "a=1&b=%32"),
            ("token=t&a=1&token=u", "a=1"),
            ("%74oken=t&a", "a"),
            ("token&a=token", "a=token"),
            ("tokens=t", "tokens=t"),
            ("&a=1", "&a=1"),
            ("&&", "&&"),
            ("&token=t&", "&"),
            ("", ""),
        ] {
            assert_eq!(without_query_pair(query, "token"), rest, "{query:?}");
        }
    }
}
