//! A reproducible random generator: the same seed gives the same numbers and mutations on every machine.

/// Marsaglia's xorshift generator.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// Creates a generator from a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// Returns the next pseudorandom 64-bit number.
    pub fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Returns a number below `bound`, or 0 if `bound` is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(1).max(1);
        usize::try_from(self.roll() % bound).unwrap_or(0)
    }

    /// Returns a random element, or `None` if there are no elements.
    pub fn one_of<'t, T>(&mut self, these: &'t [T]) -> Option<&'t T> {
        these.get(self.below(these.len()))
    }

    /// Returns a copy of `input` with one to five changes. A change flips a bit, removes or duplicates bytes, or inserts an
    /// element of [`NASTY`].
    pub fn mutated(&mut self, input: &[u8]) -> Vec<u8> {
        let mut out = input.to_vec();
        for _ in 0..=self.below(5) {
            let at = self.below(out.len() + 1);
            let end = (at + self.below(24)).min(out.len());
            match self.below(5) {
                0 => {
                    let bit = 1 << self.below(8);
                    out.get_mut(at).into_iter().for_each(|byte| *byte ^= bit);
                }
                1 => drop(out.drain(at..end)),
                2 => {
                    let again = out.get(at..end).unwrap_or_default().to_vec();
                    out.splice(at..at, again);
                }
                _ => {
                    let nasty = self.one_of(NASTY).copied().unwrap_or_default();
                    out.splice(at..at, nasty.iter().copied());
                }
            }
        }
        out
    }
}

/// Byte sequences that have broken parsers of requests, documents and tokens in other software.
pub const NASTY: &[&[u8]] = &[
    b"/../",
    b"%2e%2e",
    b"%2F",
    b"%5c",
    b"//",
    b";",
    b"%00",
    b"\0",
    b"\xc3\x28",
    b"\xff",
    b"\r\n",
    b"\n",
    b"?",
    b"#",
    b"%",
    b"%u002f",
    b",",
    b"\"",
    b"{",
    b"[[[[[[[[[[[[[[[[",
    b"}",
    b"e30.",
    b"..",
    b"=",
    b"99999999999999999999",
    b"-1",
    b"1e999",
    b"null",
    b"\\u0000",
    b"\\ud800",
    b"\nx-user-id: root",
    b"\nX_User_ID: root",
    b"\nx-user_id: root",
    b"\nx.user~id: root",
    b"\nx-portcullis-upstream: admin",
    b"\nauthorization: Bearer x",
    b"\nauthorization: Bearer <0>",
    b"\nauthorization: ",
    b"\ncookie: sid=<0>; sid=<1>",
    b"\norigin: null",
    b"\norigin: https://admin.example.com.evil.test",
    b"\naccess-control-request-method: PUT",
    b"\ncontent-type: application/grpc",
    b"\nx-forwarded-for: 127.0.0.1",
    b"\nhost: evil.example",
];
