//! Reads values for which `docs/gateway.schema.json` defines a default or bounds.

use std::time::Duration;

use super::problem::At;
use super::reader::{Field, Fields};
use super::schema_keys::{BoundedKey, DefaultKey};

impl Fields<'_> {
    /// Returns the duration at `key`, or its default.
    pub fn duration(&self, key: &BoundedKey<Duration>) -> Duration {
        self.get(key.name).and_then(|field| field.duration_within(key.least, key.most)).unwrap_or(key.default)
    }

    /// Returns the whole number at `key`, or its default.
    pub fn number(&self, key: &BoundedKey<u64>) -> u64 {
        self.number_if_set(key).map_or(key.default, |number| number.value)
    }

    /// Returns the number of items or bytes at `key`, or its default.
    pub fn size(&self, key: &BoundedKey<u64>) -> usize {
        usize::try_from(self.number(key)).unwrap_or(usize::MAX)
    }

    /// Returns the whole number at `key` with its location; `None` if it is absent or invalid.
    pub fn number_if_set<D>(&self, key: &BoundedKey<u64, D>) -> Option<At<u64>> {
        let field = self.get(key.name)?;
        Some(At { value: field.number(key.least, key.most)?, place: field.place })
    }

    /// Returns the boolean at `key`, or its default.
    pub fn flag(&self, key: &DefaultKey<bool>) -> bool {
        self.get(key.name).and_then(|field| field.flag()).unwrap_or(key.default)
    }

    /// Returns the value that `words` contains for the word at `key`, or for the default word. The default is always one of
    /// `words`, because a test compares `words` with the schema.
    pub fn word<T: Copy + Default>(&self, key: &DefaultKey<&'static str>, words: &[(&str, T)]) -> T {
        let usual = || words.iter().find(|(word, _)| *word == key.default).map(|(_, value)| *value);
        self.get(key.name).and_then(|field| field.word(words)).or_else(usual).unwrap_or_default()
    }
}

impl Field<'_> {
    /// Reads a duration from `least` to `most`. Any other value is reported as a problem.
    fn duration_within(&self, least: Duration, most: Duration) -> Option<Duration> {
        let found = self.duration()?;
        if !(least..=most).contains(&found) {
            self.problem(format!("must be between {} and {}", shown(least), shown(most)));
            return None;
        }
        Some(found)
    }
}

/// Formats a duration as in a document, such as `5m`, with the largest unit that needs no fraction.
fn shown(span: Duration) -> String {
    let millis = span.as_millis();
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    let unit = units.into_iter().find(|(unit, _)| millis > 0 && millis.is_multiple_of(*unit));
    unit.map_or_else(|| format!("{millis}ms"), |(unit, name)| format!("{}{name}", millis / unit))
}
