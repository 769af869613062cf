//! Request methods, and the set of methods that the routes of a path accept.

use std::fmt;

/// A request method (RFC 9110 §9). Methods are case-sensitive, and all registered methods are in upper case.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are the methods")]
pub enum Method {
    Connect,
    Delete,
    Get,
    Head,
    Options,
    Patch,
    Post,
    Put,
    Trace,
    /// Any other method.
    Other(Box<str>),
}

impl Method {
    /// Parses a method, which must be a token (RFC 9110 §5.6.2) without lower-case letters.
    ///
    /// # Errors
    /// Returns a fault if the text is empty, is not a token, or has lower-case letters.
    pub fn parse(token: impl AsRef<[u8]>) -> Result<Self, MethodFault> {
        let token = token.as_ref();
        if let Some(known) = KNOWN.iter().find(|known| known.as_str().as_bytes() == token) {
            return Ok(known.clone());
        }
        let text = String::from_utf8_lossy(token);
        if token.is_empty() || !token.iter().copied().all(is_upper_token) {
            return Err(MethodFault { text: text.into_owned() });
        }
        Ok(Self::Other(text.into()))
    }

    /// Returns the method as written in a request line.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Connect => "CONNECT",
            Self::Delete => "DELETE",
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Options => "OPTIONS",
            Self::Patch => "PATCH",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Trace => "TRACE",
            Self::Other(token) => token,
        }
    }

    fn bit(&self) -> u16 {
        KNOWN.iter().position(|known| known == self).map_or(0, |at| 1 << at)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The error for a string that is not a valid method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MethodFault {
    text: String,
}

impl fmt::Display for MethodFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let upper = self.text.to_ascii_uppercase();
        if upper != self.text && Method::parse(&upper).is_ok() {
            return write!(f, "`{}` is not a method (methods are case-sensitive: `{upper}`)", self.text);
        }
        write!(f, "`{}` is not a method (a method is a word like GET, POST or PATCH)", self.text)
    }
}

impl std::error::Error for MethodFault {}

/// The methods that routes accept for one host and path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowed<'t> {
    known: u16,
    other: Vec<&'t str>,
    any: bool,
}

impl<'t> Allowed<'t> {
    pub(super) fn add(&mut self, method: &'t Method) {
        self.known |= method.bit();
        if let Method::Other(token) = method
            && !self.other.contains(&&**token)
        {
            self.other.push(token);
        }
    }

    pub(super) fn add_any(&mut self) {
        self.any = true;
    }

    /// Returns `true` if no route matches the host and path.
    pub fn is_empty(&self) -> bool {
        !self.any && self.known == 0 && self.other.is_empty()
    }

    /// Returns `true` if a route accepts any method for the path. In this case, [`Allowed::methods`] returns only the methods
    /// that the other routes name.
    pub fn any(&self) -> bool {
        self.any
    }

    /// Returns `true` if a route accepts the path with this method.
    pub fn contains(&self, method: &Method) -> bool {
        let known = |method: &Method| self.known & method.bit() != 0;
        let named = match method {
            Method::Other(token) => self.other.contains(&&**token),
            Method::Head => known(method) || known(&Method::Get),
            _ => known(method),
        };
        self.any || named
    }

    /// Returns the methods in alphabetical order. If a route accepts `GET`, the list also contains `HEAD` (RFC 9110 §9.3.2). If
    /// any route matches, the list also contains `OPTIONS`.
    pub fn methods(&self) -> Vec<&'t str> {
        if self.is_empty() {
            return Vec::new();
        }
        let named = Self { any: false, ..self.clone() };
        let known = KNOWN.iter().filter(|method| **method == Method::Options || named.contains(method));
        let mut methods: Vec<&'t str> = known.map(Method::as_str).chain(self.other.iter().copied()).collect();
        methods.sort_unstable();
        methods
    }
}

/// Formats the value of an `Allow` header (RFC 9110 §10.2.1).
impl fmt::Display for Allowed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.methods().join(", "))
    }
}

/// Returns `true` for a `tchar` (RFC 9110 §5.6.2) that is not a lower-case letter.
fn is_upper_token(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

static KNOWN: [Method; 9] = [
    Method::Get,
    Method::Post,
    Method::Put,
    Method::Patch,
    Method::Delete,
    Method::Head,
    Method::Options,
    Method::Connect,
    Method::Trace,
];

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn every_upper_case_token_is_a_method() {
        for method in &KNOWN {
            assert_eq!(Method::parse(method.as_str()).as_ref(), Ok(method));
        }
        assert_eq!(Method::parse("M-SEARCH"), Ok(Method::Other("M-SEARCH".into())));
    }

    #[test]
    fn invalid_methods_are_explained() {
        for (text, message) in [
            ("get", "`get` is not a method (methods are case-sensitive: `GET`)"),
            ("G ET", "`G ET` is not a method (a method is a word like GET, POST or PATCH)"),
            ("", "`` is not a method (a method is a word like GET, POST or PATCH)"),
        ] {
            assert_eq!(Method::parse(text).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn allow_lists_head_with_get_and_always_options() {
        let (mut allowed, purge) = (Allowed::default(), Method::Other("PURGE".into()));
        assert_eq!(allowed.to_string(), "");
        for method in [&Method::Put, &Method::Get, &purge, &purge] {
            allowed.add(method);
        }
        assert_eq!(allowed.to_string(), "GET, HEAD, OPTIONS, PURGE, PUT");
        assert!(allowed.contains(&Method::Head) && !allowed.contains(&Method::Post) && !allowed.any());
        allowed.add_any();
        assert!(allowed.contains(&Method::Post));
        assert_eq!(allowed.to_string(), "GET, HEAD, OPTIONS, PURGE, PUT");
    }
}
