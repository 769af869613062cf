//! Compiles patterns, which are regular expressions of ECMA-262 with the flag `u` (Core §6.4). `search.rs` matches them.
//!
//! A pattern is translated to the syntax of `regex-automata`. A literal character is written as a letter, a digit or `\x{…}`,
//! because escaped punctuation can have another meaning in that syntax. For example, `\<` would match the start of a word.

use std::iter::Peekable;
use std::str::Chars;

use regex_automata::nfa::thompson::{Compiler, Config, NFA, WhichCaptures};
use regex_automata::util::look::{Look, LookSet};
use regex_automata::util::syntax;

/// A compiled pattern. Without `^` and `$`, a pattern can match any part of a string.
#[derive(Debug)]
pub(super) struct Pattern(pub NFA);

impl Pattern {
    /// Compiles a pattern. Rejects features that need backtracking, because a client could then make a search very slow.
    pub fn parse(text: &str) -> Result<Pattern, String> {
        let translated = Translation { letters: text.chars().peekable(), out: String::new() }.run()?;
        let bounds = Config::new().which_captures(WhichCaptures::None).nfa_size_limit(Some(MAX_BYTES));
        let nfa = Compiler::new().configure(bounds).build(&translated).map_err(|fault| match fault.size_limit() {
            Some(_) => "the compiled pattern is too large".to_string(),
            None => "this is not a regular expression".to_string(),
        })?;
        // The search would panic on other assertions, because they need Unicode tables that this build does not contain.
        if !nfa.look_set_any().subtract(assertions()).is_empty() {
            return Err("the only supported assertions are `^`, `$`, `\\b` and `\\B`".to_string());
        }
        Ok(Pattern(nfa))
    }
}

/// Returns the assertions of `regex-automata` to which `^`, `$`, `\b` and `\B` are translated.
fn assertions() -> LookSet {
    [Look::Start, Look::End, Look::WordAscii, Look::WordAsciiNegate].into_iter().fold(LookSet::empty(), LookSet::insert)
}

/// Translates a pattern from the syntax of ECMA-262 to the syntax of `regex-automata`.
struct Translation<'t> {
    letters: Peekable<Chars<'t>>,
    out: String,
}

impl Translation<'_> {
    fn run(mut self) -> Result<String, String> {
        while let Some(letter) = self.letters.next() {
            match letter {
                '\\' => self.escape(false)?,
                '.' => self.out.push_str(r"[^\n\r\x{2028}\x{2029}]"),
                '(' => self.group()?,
                '[' => self.class()?,
                '{' => self.brace(),
                '^' | '$' | '|' | '*' | '+' | '?' | ')' => self.out.push(letter),
                letter => self.literal(letter),
            }
        }
        Ok(self.out)
    }

    /// Translates the start of a group. All groups become non-capturing groups, because backreferences are not supported.
    fn group(&mut self) -> Result<(), String> {
        self.out.push_str("(?:");
        if self.letters.next_if_eq(&'?').is_none() {
            return Ok(());
        }
        match self.letters.next() {
            Some(':') => Ok(()),
            Some('=' | '!') => Err(LOOKS_AROUND.to_string()),
            Some('<') => match self.letters.peek().copied() {
                Some('=' | '!') => Err(LOOKS_AROUND.to_string()),
                _ if self.letters.any(|letter| letter == '>') => Ok(()),
                _ => Err("the name of a group has no closing `>`".to_string()),
            },
            _ => Err("only `(?:…)` and `(?<name>…)` are supported after `(?`".to_string()),
        }
    }

    fn class(&mut self) -> Result<(), String> {
        let negated = self.letters.next_if_eq(&'^').is_some();
        if self.letters.next_if_eq(&']').is_some() {
            // `[]` matches no character, and `[^]` matches every character.
            self.out.push_str(if negated { ANYTHING } else { NOTHING });
            return Ok(());
        }
        self.out.push_str(if negated { "[^" } else { "[" });
        let (mut in_range, mut after_set) = (false, false);
        loop {
            let letter = self.letters.next().ok_or("a class `[` has no closing `]`")?;
            if letter == ']' {
                break;
            }
            let is_set =
                letter == '\\' && matches!(self.letters.peek(), Some('d' | 'D' | 'w' | 'W' | 's' | 'S' | 'p' | 'P'));
            if is_set && in_range {
                return Err(
                    r"a range in a class cannot end in a set of characters: write `\-` for a literal `-`".to_string()
                );
            }
            match letter {
                '\\' => self.escape(true)?,
                letter => self.literal(letter),
            }
            // A `-` after a single character starts a range. A `-` after a set such as `\d` is a literal, and `literal` writes it
            // as `\x{2d}`, because `--` means set difference in the syntax of `regex-automata`.
            let mut ahead = self.letters.clone();
            let stands_alone = in_range || is_set || after_set && letter == '-';
            in_range = !stands_alone && ahead.next() == Some('-') && ahead.next().is_some_and(|end| end != ']');
            if in_range {
                self.letters.next();
                self.out.push('-');
            }
            after_set = is_set;
        }
        self.out.push(']');
        Ok(())
    }

    /// Translates the part of an escape after its backslash.
    fn escape(&mut self, in_class: bool) -> Result<(), String> {
        let letter = self.letters.next().ok_or("a pattern cannot end in `\\`")?;
        let set = |negated: bool, set: &str| match (negated, in_class) {
            (false, true) => set.to_string(),
            (false, false) => format!("[{set}]"),
            (true, _) => format!("[^{set}]"),
        };
        match letter {
            'd' | 'D' => self.out.push_str(&set(letter == 'D', "0-9")),
            'w' | 'W' => self.out.push_str(&set(letter == 'W', "0-9A-Za-z_")),
            's' | 'S' => self.out.push_str(&set(letter == 'S', SPACES)),
            'b' if in_class => self.out.push_str(r"\x08"),
            'b' => self.out.push_str(r"(?-u:\b)"),
            'B' if !in_class => self.out.push_str(r"(?-u:\B)"),
            't' => self.out.push_str(r"\t"),
            'n' => self.out.push_str(r"\n"),
            'r' => self.out.push_str(r"\r"),
            'v' => self.out.push_str(r"\x0B"),
            'f' => self.out.push_str(r"\x0C"),
            '0' if !self.letters.peek().is_some_and(char::is_ascii_digit) => self.out.push_str(r"\x00"),
            'c' => {
                let letter = self.letters.next().filter(char::is_ascii_alphabetic);
                self.code(u32::from(letter.ok_or("`\\c` needs a letter")?) % 32)?;
            }
            'x' => {
                let code = self.hexadecimal(2)?;
                self.code(code)?;
            }
            'u' => self.unicode()?,
            'p' | 'P' => self.property(letter)?,
            '0'..='9' | 'k' => {
                return Err("backreferences to groups are not supported, because they can take too long".to_string());
            }
            letter if letter.is_ascii_alphabetic() => return Err(format!("`\\{letter}` is not a valid escape")),
            letter => self.literal(letter),
        }
        Ok(())
    }

    fn unicode(&mut self) -> Result<(), String> {
        if self.letters.next_if_eq(&'{').is_some() {
            let digits: String = std::iter::from_fn(|| self.letters.next_if(char::is_ascii_hexdigit)).collect();
            let code = u32::from_str_radix(&digits, 16).ok().filter(|_| self.letters.next_if_eq(&'}').is_some());
            return self.code(code.ok_or("`\\u{…}` needs hexadecimal digits")?);
        }
        let mut code = self.hexadecimal(4)?;
        if (0xd800..0xdc00).contains(&code)
            && self.letters.next_if_eq(&'\\').is_some()
            && self.letters.next_if_eq(&'u').is_some()
        {
            // Two `\u` escapes of a surrogate pair mean one character.
            let low = self.hexadecimal(4)?;
            if (0xdc00..0xe000).contains(&low) {
                code = 0x1_0000 + ((code & 0x3ff) << 10) + (low & 0x3ff);
            }
        }
        self.code(code)
    }

    /// Translates `\p{…}` with a general category of Unicode. Other properties are rejected, because their tables would make the
    /// wasm module too large.
    fn property(&mut self, letter: char) -> Result<(), String> {
        let opens = self.letters.next_if_eq(&'{').is_some();
        let name: String =
            std::iter::from_fn(|| self.letters.next_if(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '=')))
                .collect();
        if !opens || name.is_empty() || self.letters.next_if_eq(&'}').is_none() {
            return Err(format!("`\\{letter}` needs a general category of Unicode, such as `\\p{{L}}`"));
        }
        let property = format!("\\{letter}{{{name}}}");
        let category = name.strip_prefix("General_Category=").or_else(|| name.strip_prefix("gc="));
        let is_known = CATEGORIES.contains(&category.unwrap_or(&name))
            || category.is_none() && ["Any", "ASCII", "Assigned"].contains(&name.as_str());
        if !is_known || syntax::parse(&property).is_err() {
            return Err(format!(
                "`{property}` is not supported (accepted: the general categories of Unicode, as `\\p{{L}}` or `\\p{{Lu}}`, `\\p{{Any}}`, `\\p{{ASCII}}` and `\\p{{Assigned}}`)"
            ));
        }
        self.out.push_str(&property);
        Ok(())
    }

    fn hexadecimal(&mut self, count: usize) -> Result<u32, String> {
        let digits: String = self.letters.by_ref().take(count).collect();
        let is_whole = digits.len() == count && digits.bytes().all(|b| b.is_ascii_hexdigit());
        u32::from_str_radix(&digits, 16)
            .ok()
            .filter(|_| is_whole)
            .ok_or(format!("{count} hexadecimal digits are needed"))
    }

    fn code(&mut self, code: u32) -> Result<(), String> {
        let letter = char::from_u32(code).ok_or("this code is not a Unicode character")?;
        self.literal(letter);
        Ok(())
    }

    /// Writes a literal character in a form that has no other meaning in the syntax of `regex-automata`.
    fn literal(&mut self, letter: char) {
        if letter.is_ascii_alphanumeric() {
            self.out.push(letter);
        } else {
            self.out.push_str(&format!("\\x{{{:x}}}", u32::from(letter)));
        }
    }

    /// Translates `{`, which starts a quantifier such as `{2}`, `{2,}` or `{2,3}`, or is a literal.
    fn brace(&mut self) {
        let mut ahead = self.letters.clone();
        let inside: String = ahead.by_ref().take_while(|letter| *letter != '}').collect();
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let counts = match inside.split_once(',') {
            None => is_number(&inside),
            Some((least, most)) => is_number(least) && (most.is_empty() || is_number(most)),
        };
        let has_end = self.letters.clone().any(|letter| letter == '}');
        if counts && has_end {
            self.letters = ahead;
            self.out.push_str(&format!("{{{inside}}}"));
        } else {
            self.literal('{');
        }
    }
}

/// The characters that `\s` matches (ECMA-262, WhiteSpace and LineTerminator).
const SPACES: &str = r"\t\n\x0B\x0C\r\x20\xA0\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}\x{FEFF}";

const ANYTHING: &str = r"[\x{0}-\x{10FFFF}]";
const NOTHING: &str = r"[^\x{0}-\x{10FFFF}]";

/// The general categories and their aliases (ECMA-262, PropertyValueAliases.txt). `regex-automata` can support more properties
/// in the command line tool than in the filter. With this list, both reject the same patterns.
#[rustfmt::skip]
const CATEGORIES: [&str; 80] = [
    "C", "Other", "Cc", "Control", "cntrl", "Cf", "Format", "Cn", "Unassigned", "Co", "Private_Use", "Cs", "Surrogate",
    "L", "Letter", "LC", "Cased_Letter", "Ll", "Lowercase_Letter", "Lm", "Modifier_Letter", "Lo", "Other_Letter",
    "Lt", "Titlecase_Letter", "Lu", "Uppercase_Letter",
    "M", "Mark", "Combining_Mark", "Mc", "Spacing_Mark", "Me", "Enclosing_Mark", "Mn", "Nonspacing_Mark",
    "N", "Number", "Nd", "Decimal_Number", "digit", "Nl", "Letter_Number", "No", "Other_Number",
    "P", "Punctuation", "punct", "Pc", "Connector_Punctuation", "Pd", "Dash_Punctuation", "Pe", "Close_Punctuation",
    "Pf", "Final_Punctuation", "Pi", "Initial_Punctuation", "Po", "Other_Punctuation", "Ps", "Open_Punctuation",
    "S", "Symbol", "Sc", "Currency_Symbol", "Sk", "Modifier_Symbol", "Sm", "Math_Symbol", "So", "Other_Symbol",
    "Z", "Separator", "Zl", "Line_Separator", "Zp", "Paragraph_Separator", "Zs", "Space_Separator",
];

const LOOKS_AROUND: &str = "looking ahead and looking behind are not supported, because they can take too long";

/// The maximum memory of a compiled pattern, in bytes.
const MAX_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strict_json::schema::search::PatternSearch;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn patterns_match_as_ecma_262_defines() {
        for (pattern, taken, refused) in [
            ("^a*$", &["", "aaa"][..], &["b", "ab"][..]),
            ("b", &["abc"], &["ac"]),
            (r"^\d{2,3}$", &["12", "123"], &["1", "1234", "٣٣"]),
            (r"^\w+$", &["a_1"], &["é", "a b"]),
            (r"^\S\s\S$", &["a\u{a0}b", "a\u{feff}b", "a b"], &["abc"]),
            (r"^[\w-.]+$", &["a-b.c"], &["a+b"]),
            (r"^[a-c]$", &["b"], &["-", "d"]),
            (r"^[+--]$", &["+", ",", "-"], &["."]),
            (r"^[^+--]$", &["."], &["+", ",", "-"]),
            (r"^[--/-]$", &["-", ".", "/"], &["0"]),
            (r"^[\w--/]$", &["-", "/", "a"], &["."]),
            (r"^[-\d.-]$", &["-", "1", "."], &["/"]),
            ("^[[&&~]$", &["[", "&", "~"], &["a"]),
            ("^[^]$", &["\n", "a"], &[""]),
            ("[]", &[], &["", "a"]),
            (r"^[\b]$", &["\u{8}"], &["b"]),
            ("^.$", &["a", "😀"], &["\n", "\u{2028}"]),
            (r"^\u00e9\x41\u{1F600}\ud83d\ude00$", &["éA😀😀"], &["eA"]),
            (r"^\cA\0$", &["\u{1}\0"], &["A"]),
            (r"^\p{Lu}\P{L}$", &["É1"], &["éa"]),
            (r"^(?<year>\d+)-(?:a|b)$", &["2024-a"], &["2024-c"]),
            ("^{}{,3}x{2$", &["{}{,3}x{2"], &["xx"]),
            (r"^[^\d]$", &["a"], &["1"]),
            (r"^[\D]$", &["a"], &["1"]),
            (r"\bword\b", &["a word."], &["words"]),
            // No position inside a multi-byte character is a match.
            (r"\B", &["", "é", "ab"], &["a", "aéb"]),
            (r"é\B", &["é", "éé"], &["éa"]),
            (r"^\/\-\@$", &["/-@"], &[r"\/"]),
            (r"\<", &["<", "a<"], &["a", " a", ""]),
            (r"\>", &[">"], &["a", "a ", ""]),
            (r"^\x3c\x3E\u003c\u{3e}$", &["<><>"], &["a", ""]),
            ("[<]", &["a<"], &["a"]),
            ("^[^<>]*$", &["", "ab"], &["a<", ">"]),
            (r"^[\<-\>&]$", &["<", "=", ">", "&"], &["\\", "-", "a"]),
            ("^<[^!]*>$", &["<>", "<a>"], &["<!>", "a"]),
            (r"^a{2}b{1,}c{0,1}$", &["aab", "aabbc"], &["ab", "aabcc"]),
            ("^{2$", &["{2"], &["{"]),
            (r"^\{{2}$", &["{{"], &["{2}", "{"]),
            (r"^\p{gc=Lu}\p{Decimal_Number}$", &["A1"], &["a1"]),
            ("^a+?$", &["aa"], &[""]),
            ("a}]b", &["a}]b"], &["ab"]),
        ] {
            let parsed = Pattern::parse(pattern).unwrap_or_else(|fault| panic!("{pattern}: {fault}"));
            let mut search = PatternSearch::default();
            for (texts, is_in) in [(taken, true), (refused, false)] {
                for text in texts {
                    assert_eq!(search.run(&parsed, text, &mut 1_000), Some(is_in), "{pattern} in {text:?}");
                }
            }
        }
    }

    #[test]
    fn slow_and_invalid_patterns_are_rejected() {
        for pattern in [
            "(?=a)",
            "(?!a)",
            "(?<=a)",
            "(?<!a)",
            r"(a)\1",
            r"(?<n>a)\k<n>",
            "(",
            ")",
            "[a",
            "*",
            r"\",
            r"\a",
            r"\u12",
            r"\ud800",
            r"\ud83d\u0041",
            r"\udc00",
            r"\p{Script=Greek}",
            r"\p{Emoji}",
            r"\x1",
            r"\c1",
            r"\p{Nothing}",
            r"\pL",
            "(?i)a",
            "[b-a]",
            r"[.-\d]",
            r"[a-\p{L}]",
            "((a{1000}){1000}){1000}",
            "(?<n",
        ] {
            assert!(Pattern::parse(pattern).is_err(), "{pattern}");
        }
    }
}
