//! A second pattern engine that implements ECMA-262 §22.2 and shares no code with the gateway.
//!
//! For each node of the syntax tree, the engine computes the set of all end positions, so that no pattern needs exponential
//! time.

use std::collections::BTreeSet;
use std::iter::Peekable;
use std::str::Chars;

/// A node of the syntax tree of a pattern.
#[derive(Debug)]
pub enum Node {
    /// One character. With `true`, the character must be in one of the ranges. With `false`, it must be in none of them.
    Set(Vec<(char, char)>, bool),
    /// Nodes that match one after the other.
    Sequence(Vec<Node>),
    /// Alternatives, of which one must match.
    Choice(Vec<Node>),
    /// A node with its minimum and maximum number of repetitions. `None` means no maximum.
    Repeat(Box<Node>, u32, Option<u32>),
    /// `^`.
    Start,
    /// `$`.
    End,
    /// `\b` for `true`, `\B` for `false`.
    Boundary(bool),
}

/// Parses a pattern. Returns `None` if the pattern is invalid in the Unicode mode of ECMA-262, or if it uses Unicode properties,
/// lookarounds or backreferences, which this engine does not support.
pub fn parse(pattern: &str) -> Option<Node> {
    let mut reader = Reader { letters: pattern.chars().peekable(), depth: 0 };
    let node = reader.choice()?;
    reader.letters.next().is_none().then_some(node)
}

/// Returns whether the pattern matches anywhere in `text`, or `None` if the search takes too many steps.
pub fn is_in(node: &Node, text: &str) -> Option<bool> {
    let mut search = Search { text: text.chars().collect(), steps: MAX_STEPS };
    let starts = (0..=search.text.len()).collect();
    search.ends(node, starts).map(|ends| !ends.is_empty())
}

struct Search {
    text: Vec<char>,
    steps: usize,
}

impl Search {
    /// Returns the end positions of all matches of `node` that begin at one of `starts`.
    fn ends(&mut self, node: &Node, starts: BTreeSet<usize>) -> Option<BTreeSet<usize>> {
        self.steps = self.steps.checked_sub(1 + starts.len())?;
        let (text, length) = (&self.text, self.text.len());
        let is_word = |at: usize| text.get(at).is_some_and(|c| c.is_ascii_alphanumeric() || *c == '_');
        let is_boundary = |at: usize| at.checked_sub(1).is_some_and(is_word) != is_word(at);
        Some(match node {
            Node::Start => starts.into_iter().filter(|at| *at == 0).collect(),
            Node::End => starts.into_iter().filter(|at| *at == length).collect(),
            Node::Boundary(there) => starts.into_iter().filter(|at| is_boundary(*at) == *there).collect(),
            Node::Set(ranges, inside) => {
                let has = |c: &char| ranges.iter().any(|(low, high)| low <= c && c <= high) == *inside;
                starts.into_iter().filter(|at| text.get(*at).is_some_and(has)).map(|at| at + 1).collect()
            }
            Node::Sequence(nodes) => nodes.iter().try_fold(starts, |starts, node| self.ends(node, starts))?,
            Node::Choice(nodes) => {
                let mut all = BTreeSet::new();
                for node in nodes {
                    all.extend(self.ends(node, starts.clone())?);
                }
                all
            }
            Node::Repeat(node, least, most) => {
                let mut all = starts;
                for _ in 0..*least {
                    all = self.ends(node, all)?;
                }
                let mut rest = all.clone();
                let mut left = most.map(|most| most.saturating_sub(*least));
                while !rest.is_empty() && left != Some(0) {
                    left = left.map(|left| left - 1);
                    rest = self.ends(node, rest)?.difference(&all).copied().collect();
                    all.extend(&rest);
                }
                all
            }
        })
    }
}

struct Reader<'t> {
    letters: Peekable<Chars<'t>>,
    depth: usize,
}

enum Part {
    Letter(char),
    Set(Vec<(char, char)>),
}

impl Reader<'_> {
    fn choice(&mut self) -> Option<Node> {
        self.depth += 1;
        let mut choices = vec![self.sequence()?];
        while self.letters.next_if_eq(&'|').is_some() {
            choices.push(self.sequence()?);
        }
        self.depth -= 1;
        Some(Node::Choice(choices))
    }

    fn sequence(&mut self) -> Option<Node> {
        let mut nodes = Vec::new();
        while self.letters.peek().is_some_and(|letter| !matches!(letter, '|' | ')')) {
            let node = self.term()?;
            nodes.push(self.repeated(node)?);
        }
        Some(Node::Sequence(nodes))
    }

    fn repeated(&mut self, node: Node) -> Option<Node> {
        let (least, most) = match self.letters.peek().copied() {
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('?') => (0, Some(1)),
            Some('{') => match counts(self.letters.clone()) {
                Some(counts) => {
                    self.letters.by_ref().find(|letter| *letter == '}');
                    let _lazy = self.letters.next_if_eq(&'?');
                    // The gateway rejects repetition counts that do not fit into 32 bits. `counts` returns `u32::MAX` for them.
                    let is_known = in_order(counts) && counts.0 < u32::MAX && counts.1 != Some(u32::MAX);
                    return Some(Node::Repeat(Box::new(node), counts.0, counts.1)).filter(|_| is_known);
                }
                None => return Some(node),
            },
            _ => return Some(node),
        };
        self.letters.next();
        let _lazy = self.letters.next_if_eq(&'?');
        Some(Node::Repeat(Box::new(node), least, most))
    }

    fn term(&mut self) -> Option<Node> {
        Some(match self.letters.next()? {
            '^' => Node::Start,
            '$' => Node::End,
            '.' => Node::Set(LINE_ENDS.map(|letter| (letter, letter)).to_vec(), false),
            '(' if self.depth < MAX_DEPTH => self.group()?,
            '[' => self.class()?,
            '\\' => match self.letters.peek().copied()? {
                letter @ ('b' | 'B') => {
                    let node = Node::Boundary(letter == 'b');
                    self.letters.next();
                    node
                }
                _ => match self.escape(false)? {
                    Part::Letter(letter) => Node::Set(vec![(letter, letter)], true),
                    Part::Set(ranges) => Node::Set(ranges, true),
                },
            },
            // A quantifier without an operand is an error. A brace that is not part of a quantifier is a literal, as in
            // browsers and in the gateway.
            '*' | '+' | '?' | '(' | ')' => return None,
            '{' if counts(std::iter::once('{').chain(self.letters.clone())).is_some() => return None,
            letter => Node::Set(vec![(letter, letter)], true),
        })
    }

    fn group(&mut self) -> Option<Node> {
        if self.letters.next_if_eq(&'?').is_some() {
            match self.letters.next()? {
                ':' => {}
                '<' => {
                    let name: String =
                        std::iter::from_fn(|| self.letters.next_if(|c| c.is_ascii_alphanumeric())).collect();
                    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic());
                    self.letters.next_if_eq(&'>').filter(|_| is_name)?;
                }
                _ => return None,
            }
        }
        let inside = self.choice()?;
        self.letters.next_if_eq(&')').map(|_| inside)
    }

    fn class(&mut self) -> Option<Node> {
        let inside = self.letters.next_if_eq(&'^').is_none();
        let mut ranges = Vec::new();
        loop {
            let first = match self.letters.next()? {
                ']' => return Some(Node::Set(ranges, inside)),
                letter => self.part(letter)?,
            };
            let mut ahead = self.letters.clone();
            let is_range = ahead.next() == Some('-') && ahead.next().is_some_and(|letter| letter != ']');
            match first {
                Part::Letter(low) if is_range => {
                    self.letters.next();
                    let last = self.letters.next()?;
                    match self.part(last)? {
                        Part::Letter(high) if low <= high => ranges.push((low, high)),
                        _ => return None,
                    }
                }
                Part::Letter(letter) => ranges.push((letter, letter)),
                Part::Set(_) if is_range => return None,
                Part::Set(set) => ranges.extend(set),
            }
        }
    }

    fn part(&mut self, letter: char) -> Option<Part> {
        if letter == '\\' { self.escape(true) } else { Some(Part::Letter(letter)) }
    }

    fn escape(&mut self, in_class: bool) -> Option<Part> {
        let set =
            |ranges: &[(char, char)], inside: bool| Part::Set(if inside { ranges.to_vec() } else { outside(ranges) });
        Some(Part::Letter(match self.letters.next()? {
            letter @ ('d' | 'D') => return Some(set(&DIGITS, letter == 'd')),
            letter @ ('w' | 'W') => return Some(set(&WORD, letter == 'w')),
            letter @ ('s' | 'S') => return Some(set(&SPACE, letter == 's')),
            'b' if in_class => '\u{8}',
            't' => '\t',
            'n' => '\n',
            'r' => '\r',
            'v' => '\u{b}',
            'f' => '\u{c}',
            '0' if !self.letters.peek().is_some_and(char::is_ascii_digit) => '\0',
            'c' => char::from_u32(u32::from(self.letters.next().filter(char::is_ascii_alphabetic)?) & 31)?,
            'x' => char::from_u32(self.code(2)?)?,
            'u' if self.letters.next_if_eq(&'{').is_some() => {
                let digits: String = std::iter::from_fn(|| self.letters.next_if(char::is_ascii_hexdigit)).collect();
                self.letters.next_if_eq(&'}')?;
                char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?
            }
            'u' => match self.code(4)? {
                high @ 0xd800..0xdc00 => {
                    let follows = self.letters.next()? == '\\' && self.letters.next()? == 'u';
                    let low = self.code(4).filter(|low| follows && (0xdc00..0xe000).contains(low))?;
                    char::from_u32(0x1_0000 + (high - 0xd800) * 0x400 + low - 0xdc00)?
                }
                code => char::from_u32(code)?,
            },
            letter if letter.is_ascii_alphanumeric() => return None,
            letter => letter,
        }))
    }

    fn code(&mut self, digits: usize) -> Option<u32> {
        (0..digits).try_fold(0, |sum, _| Some(sum * 16 + self.letters.next()?.to_digit(16)?))
    }
}

/// Parses repetition counts in braces, if `letters` starts with them.
fn counts(mut letters: impl Iterator<Item = char>) -> Option<(u32, Option<u32>)> {
    letters.next().filter(|letter| *letter == '{')?;
    let rest: String = letters.collect();
    let (inside, _) = rest.split_once('}')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let number = |text: &str| is_number(text).then(|| text.parse().unwrap_or(u32::MAX));
    match inside.split_once(',') {
        None => number(inside).map(|count| (count, Some(count))),
        Some((least, "")) => number(least).map(|least| (least, None)),
        Some((least, most)) => number(least).zip(number(most)).map(|(least, most)| (least, Some(most))),
    }
}

fn in_order((least, most): (u32, Option<u32>)) -> bool {
    most.is_none_or(|most| least <= most)
}

/// Returns the characters that are in none of these sorted ranges.
fn outside(ranges: &[(char, char)]) -> Vec<(char, char)> {
    let mut from = '\0';
    let mut found = Vec::new();
    for (low, high) in ranges {
        found.extend((from..*low).next_back().map(|before| (from, before)));
        from = (*high..=char::MAX).nth(1).unwrap_or(char::MAX);
    }
    found.push((from, char::MAX));
    found
}

const DIGITS: [(char, char); 1] = [('0', '9')];
const WORD: [(char, char); 4] = [('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')];
const SPACE: [(char, char); 10] = [
    ('\t', '\r'),
    (' ', ' '),
    ('\u{a0}', '\u{a0}'),
    ('\u{1680}', '\u{1680}'),
    ('\u{2000}', '\u{200a}'),
    ('\u{2028}', '\u{2029}'),
    ('\u{202f}', '\u{202f}'),
    ('\u{205f}', '\u{205f}'),
    ('\u{3000}', '\u{3000}'),
    ('\u{feff}', '\u{feff}'),
];
const LINE_ENDS: [char; 4] = ['\n', '\r', '\u{2028}', '\u{2029}'];
const MAX_STEPS: usize = 20_000;
const MAX_DEPTH: usize = 20;
