//! Problems in a document, each with its location and a message about the fault and the accepted values.

use std::fmt;

/// A location in a document: the path of keys, and the line and column if the document has a text form.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line, counted from 1; 0 if the line is unknown, as in a binary protobuf or in JSON inside an Envoy file.
    pub line: u32,
    /// The column in characters, counted from 1; 0 if unknown.
    pub column: u32,
    /// The keys and indexes from the root, such as `routes[2].issuer`; empty for the document itself.
    pub path: String,
}

/// A value together with its location, for checks that need other parts of the document.
#[derive(Clone, Debug, PartialEq)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// The location of the value in the document.
    pub place: Place,
}

/// One problem in a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The location of the problem.
    pub place: Place,
    /// The fault and the accepted values, without a capital letter at the start and without a full stop.
    pub message: String,
}

/// All problems that were found in a document. Reading continues after a problem, so that one run reports all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Adds a problem at this location.
    pub fn add(&mut self, place: &Place, message: impl Into<String>) {
        self.0.push(Problem { place: place.clone(), message: message.into() });
    }

    /// Adds a problem unless the list already contains the same message at the same location.
    pub fn add_once(&mut self, place: &Place, message: String) {
        if !self.0.iter().any(|known| known.place == *place && known.message == message) {
            self.add(place, message);
        }
    }

    /// Returns `true` if there are no problems.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns `true` if the number of problems is high enough to skip the rest of the document.
    pub fn is_full(&self) -> bool {
        self.0.len() >= PLENTY
    }

    /// Returns the first problems and the total number of problems as text for one log line.
    pub fn summary(self) -> String {
        let all = self.sorted();
        let first: Vec<String> = all.iter().take(MAX_REPORTED).map(ToString::to_string).collect();
        format!("{} ({} in total)", first.join("; "), all.len())
    }

    /// Returns the problems in document order.
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

/// Returns the accepted word that is most similar to `written`. Returns `None` if no accepted word is so similar that `written`
/// is probably a typing error.
pub fn near_miss<'w>(written: &str, accepted: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    accepted
        .into_iter()
        .map(|word| (distance(&written.to_lowercase(), &word.to_lowercase()), word))
        .filter(|(distance, word)| *distance <= 1 + word.len() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// Counts the edits that change one short word into the other. An edit inserts, deletes or replaces a character, or swaps two
/// neighbouring characters (optimal string alignment).
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

/// The maximum number of problems that a log line describes.
const MAX_REPORTED: usize = 3;
/// The number of problems after which a reader can skip the rest of a document.
const PLENTY: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::near_miss;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn typing_errors_are_recognised_and_other_words_are_not() {
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
