//! What is wrong with a document, where it stands, and what would be accepted instead.

use std::fmt;

/// Where something stands: the path of keys to it, and its line and column when the text had any.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line from 1; 0 where the document came without text positions (binary protobuf, JSON inside Envoy).
    pub line: u32,
    /// Column from 1, in characters; 0 like `line`.
    pub column: u32,
    /// Keys and indexes from the root, as in `routes[2].issuer`; empty for the document itself.
    pub path: String,
}

/// A value of the document together with where it was written, for the checks that need other parts of the document.
#[derive(Clone, Debug, PartialEq)]
pub struct At<T> {
    /// The value as read.
    pub value: T,
    /// Where it stands.
    pub place: Place,
}

/// One mistake in a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where the mistake stands.
    pub place: Place,
    /// The fault, and what would be accepted: no capital, no full stop.
    pub message: String,
}

/// Every mistake found so far; reading never stops at the first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Notes a mistake at `place`.
    pub fn add(&mut self, place: &Place, message: impl Into<String>) {
        self.0.push(Problem { place: place.clone(), message: message.into() });
    }

    /// Notes a mistake that may have been noted before.
    pub fn add_once(&mut self, place: &Place, message: String) {
        if !self.0.iter().any(|known| known.place == *place && known.message == message) {
            self.add(place, message);
        }
    }

    /// True when nothing was found.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True when further ones would help nobody.
    pub fn are_plenty(&self) -> bool {
        self.0.len() >= PLENTY
    }

    /// The first mistakes and their number, for a log that gets one line.
    pub fn in_short(self) -> String {
        let all = self.sorted();
        let first: Vec<String> = all.iter().take(MOST_TOLD).map(ToString::to_string).collect();
        format!("{} ({} in all)", first.join("; "), all.len())
    }

    /// The mistakes in the order of the text.
    pub fn sorted(mut self) -> Vec<Problem> {
        self.0.sort_by(|a, b| a.place.cmp(&b.place));
        self.0
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "{}:{}: ", self.line, self.column)?;
        }
        f.write_str(if self.path.is_empty() { "document" } else { &self.path })
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// The accepted word nearest to what was written, when it is near enough to be a slip of the fingers.
pub fn near_miss<'w>(written: &str, accepted: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    accepted
        .into_iter()
        .map(|word| (distance(&written.to_lowercase(), &word.to_lowercase()), word))
        .filter(|(distance, word)| *distance <= 1 + word.len() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// Edits (insert, delete, replace, swap of neighbours) between two short words: optimal string alignment.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, cb) in b.iter().enumerate() {
            let cell = |row: &[usize], at: usize| row.get(at).copied().unwrap_or(usize::MAX - 1);
            let mut best = (cell(&row, j + 1) + 1).min(cell(&next, j) + 1).min(cell(&row, j) + usize::from(ca != cb));
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(cb) && b.get(j - 1) == Some(ca);
            if swapped {
                best = best.min(cell(&before, j - 1) + 1);
            }
            next.push(best);
        }
        before = std::mem::replace(&mut row, next);
    }
    row.last().copied().unwrap_or(0)
}

/// How many mistakes a log line names.
const MOST_TOLD: usize = 3;
/// After so many, whoever sent the document is not looking for a slip.
const PLENTY: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::near_miss;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn slips_of_the_fingers_are_recognised_and_other_words_are_not() {
        let keys = ["issuer", "audiences", "routes", "scopes"];
        for (written, expected) in [
            ("isuer", Some("issuer")),
            ("audience", Some("audiences")),
            ("rotues", Some("routes")),
            ("Scopes", Some("scopes")),
            ("colour", None),
            ("x", None),
        ] {
            assert_eq!(near_miss(written, keys), expected, "{written}");
        }
    }
}
