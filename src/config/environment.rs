//! Replaces `$NAME` and `${NAME}` with the values of environment variables; an unset or empty variable is an error.

/// A function that returns the value of an environment variable. The caller supplies it, because the code in `config` must not
/// read the environment itself.
pub type Environment<'e> = &'e dyn Fn(&str) -> Option<String>;

/// Replaces every `$NAME` and `${NAME}` in `text`.
///
/// # Errors
/// The error contains the name of the unset variable, or describes the malformed reference.
pub fn expand(text: &str, environment: Environment<'_>) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let (name, behind) = match after.strip_prefix('{') {
            Some(inner) => inner.split_once('}').ok_or("`${` has no closing brace")?,
            None => {
                let length = after.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
                after.split_at_checked(length).unwrap_or((after, ""))
            }
        };
        if name.is_empty() {
            return Err("`$` must be followed by the name of a variable".to_string());
        }
        let value = environment(name).filter(|v| !v.is_empty());
        out.push_str(&value.ok_or_else(|| format!("the variable `{name}` is not set"))?);
        rest = behind;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn references_are_replaced_and_unset_names_are_refused() {
        let environment = |name: &str| match name {
            "A" => Some("http://a:80".to_string()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        for (text, expected) in [
            ("$A", Ok("http://a:80")),
            ("${A}/v1", Ok("http://a:80/v1")),
            ("http://b", Ok("http://b")),
            ("$B", Err("the variable `B` is not set")),
            ("$EMPTY", Err("the variable `EMPTY` is not set")),
            ("${A", Err("`${` has no closing brace")),
            ("a$", Err("`$` must be followed by the name of a variable")),
        ] {
            let read = expand(text, &environment);
            assert_eq!(read.as_deref().map_err(String::as_str), expected, "{text}");
        }
    }
}
