//! Counts a body that passes without being held back; for checks that only write to the record, it keeps a copy to judge at the end.

use std::rc::Rc;

use super::body::{Body, BodyCheck, too_large};
use crate::policy::limits::memory::{ByteBound, HeldBytes};
use crate::policy::verdict::audit::Remark;
use crate::policy::verdict::rejection::Rejection;

/// What has passed of one body.
#[derive(Debug)]
pub struct Meter {
    check: Rc<BodyCheck>,
    passed: u64,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// Cuts off a body that grows too large.
    CutsOff,
    /// Cuts nothing off. Without `copy` the size alone counts.
    Listens { copy: Option<BodyCopy>, dropped: bool },
}

/// A copy of what has passed. Its capacity counts against the bound that all copies of a worker share.
#[derive(Debug, Default)]
struct BodyCopy {
    bytes: Vec<u8>,
    held: Option<HeldBytes>,
}

impl Meter {
    /// One that cuts off what grows too large: streams, and bodies that grow beyond the length they were announced with.
    pub(super) fn new(check: Rc<BodyCheck>) -> Meter {
        Meter { check, passed: 0, kind: Kind::CutsOff }
    }

    /// One that cuts nothing off and says in the end what would have been refused.
    pub(super) fn listening(check: Rc<BodyCheck>, is_json: bool) -> Meter {
        Meter { check, passed: 0, kind: Kind::Listens { copy: is_json.then(BodyCopy::default), dropped: false } }
    }

    /// Whether it wants to see the bytes, not only to know how many there are.
    pub fn wants_bytes(&self) -> bool {
        matches!(self.kind, Kind::Listens { copy: Some(_), .. })
    }

    /// Takes note of the next part. A copy of it counts against `room`. Returns a refusal when the rest must not follow.
    pub fn add(&mut self, size: usize, bytes: &[u8], room: &Rc<ByteBound>) -> Result<(), Rejection> {
        self.passed = self.passed.saturating_add(u64::try_from(size).unwrap_or(u64::MAX));
        let is_too_large = self.passed > self.check.most_bytes;
        match &mut self.kind {
            Kind::CutsOff if is_too_large => return Err(too_large()),
            Kind::CutsOff => {}
            Kind::Listens { copy, .. } if is_too_large => *copy = None,
            Kind::Listens { copy, dropped } => {
                if let Some(kept) = copy {
                    // A part that the proxy did not show would leave a gap.
                    let is_whole = bytes.len() == size && kept.append(bytes, self.check.most_bytes, room);
                    if !is_whole {
                        (*copy, *dropped) = (None, true);
                    }
                }
            }
        }
        Ok(())
    }

    /// For checks that only write to the record: what it says about the body that has now passed.
    pub fn finish(self) -> Option<Remark> {
        let Kind::Listens { copy, dropped } = &self.kind else { return None };
        let (body, is_json) = match copy {
            _ if self.passed > self.check.most_bytes => (Body::TooLarge, false),
            _ if *dropped => return Some(Remark::NotInspected("copied_bytes_exceeded")),
            Some(copy) => (Body::Whole(&copy.bytes), true),
            None => return None,
        };
        self.check.judge(body, is_json).err().map(|rejection| Remark::WouldRefuse(rejection.reason))
    }
}

impl BodyCopy {
    /// Appends a part. Returns `false` when the bound has no room for it.
    fn append(&mut self, part: &[u8], most: u64, room: &Rc<ByteBound>) -> bool {
        let needed = self.bytes.len().saturating_add(part.len());
        if needed > self.bytes.capacity() && !self.grow(needed, most, room) {
            return false;
        }
        self.bytes.extend_from_slice(part);
        true
    }

    /// Doubles the capacity, as far as the longest body and the bound allow, so that long bodies are not copied often.
    fn grow(&mut self, needed: usize, most: u64, room: &Rc<ByteBound>) -> bool {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let doubled = self.bytes.capacity().saturating_mul(2).min(most).max(needed);
        let mut hold = |capacity: usize| match &mut self.held {
            Some(held) => held.resize(capacity),
            none => {
                *none = room.hold(capacity);
                none.is_some()
            }
        };
        let Some(capacity) = [doubled, needed].into_iter().find(|capacity| hold(*capacity)) else { return false };
        self.bytes.reserve_exact(capacity - self.bytes.len());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::body::JsonCheck;
    use super::*;
    use crate::strict_json::Bounds;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn meter(most_bytes: u64, is_json: bool) -> Meter {
        let json = JsonCheck {
            required: false,
            bounds: Bounds { depth: 9, values: 1_000 },
            case_variants: true,
            schema: None,
        };
        Meter::listening(Rc::new(BodyCheck { most_bytes, json: Some(json) }), is_json)
    }

    /// Shows all of `body` in parts of this size.
    fn show(meter: &mut Meter, body: &[u8], part: usize, room: &Rc<ByteBound>) {
        body.chunks(part).for_each(|bytes| meter.add(bytes.len(), bytes, room).unwrap());
    }

    #[test]
    fn copies_of_many_bodies_never_take_more_than_the_bound_and_give_it_back() {
        let room = ByteBound::new(10_000);
        let body = [b"[\"", vec![b'x'; 3_996].as_slice(), b"\"]"].concat();
        for part in [1, 7, 1_000, 4_000] {
            let mut meters: Vec<Meter> = (0..5).map(|_| meter(1 << 20, true)).collect();
            for bytes in body.chunks(part) {
                for meter in &mut meters {
                    meter.add(bytes.len(), bytes, &room).unwrap();
                    assert!(room.held() <= 10_000, "{} bytes in parts of {part}", room.held());
                }
                let taken: usize = meters.iter().map(capacity).sum();
                assert_eq!(room.held(), taken as u64, "what is counted is what was allocated");
            }
            let remarks: Vec<_> = meters.into_iter().map(Meter::finish).collect();
            let inspected = remarks.iter().filter(|remark| remark.is_none()).count();
            let dropped = Remark::NotInspected("copied_bytes_exceeded");
            assert_eq!(remarks.iter().filter(|remark| **remark == Some(dropped)).count(), 5 - inspected);
            assert!((1..=2).contains(&inspected), "{inspected} of 5 bodies were inspected");
            assert_eq!(room.held(), 0);
        }
    }

    #[test]
    fn a_copy_grows_to_the_longest_body_and_no_further() {
        let room = ByteBound::new(u64::MAX);
        let mut meter = meter(5_000, true);
        show(&mut meter, &[b' '; 4_990], 10, &room);
        assert_eq!((capacity(&meter), room.held()), (5_000, 5_000));
        show(&mut meter, &[b' '; 11], 11, &room);
        assert_eq!(room.held(), 0, "a body that is too large is not copied any further");
        assert_eq!(meter.finish(), Some(Remark::WouldRefuse("body_too_large")));
    }

    #[test]
    fn what_was_not_copied_is_no_reason_to_call_a_body_good_or_bad() {
        let (room, none) = (ByteBound::new(100), ByteBound::new(0));
        let seen = |body: &[u8], is_json: bool, room: &Rc<ByteBound>| {
            let mut meter = meter(1_000, is_json);
            show(&mut meter, body, 1, room);
            meter.finish()
        };
        let not_inspected = Some(Remark::NotInspected("copied_bytes_exceeded"));
        assert_eq!(seen(b"[1]", true, &room), None);
        assert_eq!(seen(b"[1", true, &room), Some(Remark::WouldRefuse("body_not_json")));
        assert_eq!(seen(b"[1", true, &none), not_inspected);
        assert_eq!(seen(b"[1", false, &none), None);
        assert_eq!(seen(b"", true, &none), None);
        let mut meter = meter(1_000, true);
        meter.add(2, b"", &room).unwrap();
        meter.add(1, b"1", &room).unwrap();
        assert_eq!(meter.finish(), not_inspected, "a part is missing");
    }

    fn capacity(meter: &Meter) -> usize {
        match &meter.kind {
            Kind::Listens { copy: Some(copy), .. } => copy.bytes.capacity(),
            Kind::Listens { .. } | Kind::CutsOff => 0,
        }
    }
}
