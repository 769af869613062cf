//! Tests that the search finds the same matches as the engine of `regex-automata`.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use regex_automata::nfa::thompson::pikevm::PikeVM;

use super::*;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn the_search_agrees_with_the_engine(
        pieces in vec(select(PIECES), 1..8),
        texts in vec("[abcé1< \n]{0,12}", 1..6),
    ) {
        let pattern = pieces.concat();
        let Ok(parsed) = Pattern::parse(&pattern) else { return Ok(()) };
        let engine = PikeVM::new_from_nfa(parsed.0.clone()).unwrap();
        let (mut memory, mut search) = (engine.create_cache(), PatternSearch::default());
        for text in texts {
            let found = search.run(&parsed, &text, &mut 1_000_000);
            prop_assert_eq!(found, Some(engine.is_match(&mut memory, text.as_str())), "`{}` in {:?}", pattern, text);
        }
    }
}

const PIECES: &[&str] = &[
    "a",
    "b",
    "é",
    "[a-c]",
    "[^a]",
    "(?:a|bc)",
    "a*",
    "b+",
    "c?",
    ".",
    "(?:ab){2,3}",
    "^",
    "$",
    r"\b",
    r"\B",
    r"\d",
    "|",
    "a{0,2}",
    r"\<",
    r"\x3e?",
    "[^<]",
];
