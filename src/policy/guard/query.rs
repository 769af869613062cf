//! Reads the pairs of a query, and writes a query without one of them, for tokens and keys that arrive in it.

use std::borrow::Cow;

use super::percent;

/// The name and value pairs of a query, decoded as forms are (WHATWG URL, `application/x-www-form-urlencoded` parsing):
/// `+` is a space, a bad escape stands for itself, a pair without `=` has an empty value. Repeated names are all given.
pub fn query_pairs(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name), decode(value))
    })
}

/// The query without any pair of this (decoded) name; the other pairs stay as the client wrote them.
pub fn without_query_pair(query: &str, name: &str) -> String {
    let mut kept = String::with_capacity(query.len());
    for pair in query.split('&') {
        let raw_name = pair.split_once('=').map_or(pair, |(raw_name, _)| raw_name);
        if !pair.is_empty() && decode(raw_name) == name {
            continue;
        }
        if !kept.is_empty() {
            kept.push('&');
        }
        kept.push_str(pair);
    }
    kept
}

fn decode(text: &str) -> Cow<'_, str> {
    if text.contains('+') {
        // The plus signs go first: an escaped one (`%2B`) is a plus.
        return Cow::Owned(percent::decode(&text.replace('+', " ")).into_owned());
    }
    percent::decode(text)
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
    fn a_removed_pair_leaves_the_others_as_written() {
        for (query, rest) in [
            ("token=t", ""),
            ("a=1&token=t&b=%32", "a=1&b=%32"),
            ("token=t&a=1&token=u", "a=1"),
            ("%74oken=t&a", "a"),
            ("token&a=token", "a=token"),
            ("tokens=t", "tokens=t"),
            ("", ""),
        ] {
            assert_eq!(without_query_pair(query, "token"), rest, "{query:?}");
        }
    }
}
