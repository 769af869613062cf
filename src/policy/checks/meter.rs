//! Counts the bytes of a body while it is forwarded.
//!
//! For report-only checks of JSON, [`BodyMeter`] also copies the body and checks the copy at the end.

use std::rc::Rc;
use std::sync::Arc;

use super::body::{Body, BodyCheck, too_large};
use crate::policy::limits::memory::{ByteBound, HeldBytes};
use crate::policy::verdict::audit::Remark;
use crate::policy::verdict::rejection::Rejection;

/// Counts the bytes of one forwarded body, and checks them as `kind` specifies.
#[derive(Debug)]
pub struct BodyMeter {
    check: Arc<BodyCheck>,
    passed: u64,
    kind: MeterKind,
}

#[derive(Debug)]
enum MeterKind {
    /// Enforcing mode: [`BodyMeter::add`] refuses the request if the body is too large.
    CutsOff,
    /// Report-only mode. With `copy`, the meter also checks the JSON of the body. `dropped` is set if the copy was dropped
    /// because it would be incomplete.
    Listens { copy: Option<BodyCopy>, dropped: bool },
}

/// A copy of the forwarded bytes. The capacity of all copies of a worker is limited by one shared bound.
#[derive(Debug, Default)]
struct BodyCopy {
    bytes: Vec<u8>,
    held: Option<HeldBytes>,
}

impl BodyMeter {
    /// Creates a meter that enforces the maximum size. A gRPC request needs it, because it is forwarded although it may declare
    /// no length.
    pub(super) fn new(check: Arc<BodyCheck>) -> BodyMeter {
        BodyMeter { check, passed: 0, kind: MeterKind::CutsOff }
    }

    /// Creates a report-only meter. If `is_json` is set, the meter also copies the body for the checks of JSON.
    pub(super) fn listening(check: Arc<BodyCheck>, is_json: bool) -> BodyMeter {
        BodyMeter {
            check,
            passed: 0,
            kind: MeterKind::Listens { copy: is_json.then(BodyCopy::default), dropped: false },
        }
    }

    /// Returns `true` if [`BodyMeter::add`] needs the bytes, and `false` if it needs only their number.
    pub fn wants_bytes(&self) -> bool {
        matches!(self.kind, MeterKind::Listens { copy: Some(_), .. })
    }

    /// Counts the next part, and reserves memory from `bound` if the meter copies it. Returns a refusal if the body is too large.
    pub fn add(&mut self, size: usize, bytes: &[u8], bound: &Rc<ByteBound>) -> Result<(), Rejection> {
        self.passed = self.passed.saturating_add(u64::try_from(size).unwrap_or(u64::MAX));
        let is_too_large = self.passed > self.check.most_bytes;
        match &mut self.kind {
            MeterKind::CutsOff if is_too_large => return Err(too_large()),
            MeterKind::CutsOff => {}
            MeterKind::Listens { copy, .. } if is_too_large => *copy = None,
            MeterKind::Listens { copy, dropped } => {
                if let Some(kept) = copy {
                    // Envoy may report the size of a part without its bytes. The copy is then incomplete.
                    let is_whole = bytes.len() == size && kept.append(bytes, self.check.most_bytes, bound);
                    if !is_whole {
                        (*copy, *dropped) = (None, true);
                    }
                }
            }
        }
        Ok(())
    }

    /// Returns the result of report-only checks of the complete body. Returns `None` if the body is acceptable, or if the meter
    /// enforces the maximum size.
    pub fn finish(self) -> Option<Remark> {
        let MeterKind::Listens { copy, dropped } = &self.kind else { return None };
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
    /// Appends a part. Returns `false` if the copies of this worker would exceed their bound.
    fn append(&mut self, part: &[u8], most: u64, bound: &Rc<ByteBound>) -> bool {
        let needed = self.bytes.len().saturating_add(part.len());
        if needed > self.bytes.capacity() && !self.grow(needed, most, bound) {
            return false;
        }
        self.bytes.extend_from_slice(part);
        true
    }

    /// Doubles the capacity, so that long bodies are rarely reallocated. The maximum body size and the shared bound limit the
    /// capacity.
    fn grow(&mut self, needed: usize, most: u64, bound: &Rc<ByteBound>) -> bool {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let doubled = self.bytes.capacity().saturating_mul(2).min(most).max(needed);
        let mut hold = |capacity: &usize| bound.resize(&mut self.held, *capacity);
        let Some(capacity) = [doubled, needed].into_iter().find(|capacity| hold(capacity)) else { return false };
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

    fn meter(most_bytes: u64, is_json: bool) -> BodyMeter {
        let json = JsonCheck {
            required: false,
            bounds: Bounds { depth: 9, values: 1_000 },
            case_variants: true,
            schema: None,
        };
        BodyMeter::listening(Arc::new(BodyCheck { most_bytes, json: Some(json) }), is_json)
    }

    /// Passes `body` to the meter in parts of the given size.
    fn show(meter: &mut BodyMeter, body: &[u8], part: usize, bound: &Rc<ByteBound>) {
        body.chunks(part).for_each(|bytes| meter.add(bytes.len(), bytes, bound).unwrap());
    }

    #[test]
    fn copies_of_many_bodies_stay_within_the_bound_and_release_it() {
        let bound = ByteBound::new(10_000);
        let body = [b"[\"", vec![b'x'; 3_996].as_slice(), b"\"]"].concat();
        for part in [1, 7, 1_000, 4_000] {
            let mut meters: Vec<BodyMeter> = (0..5).map(|_| meter(1 << 20, true)).collect();
            for bytes in body.chunks(part) {
                for meter in &mut meters {
                    meter.add(bytes.len(), bytes, &bound).unwrap();
                    assert!(bound.held() <= 10_000, "{} bytes in parts of {part}", bound.held());
                }
                let taken: usize = meters.iter().map(capacity).sum();
                assert_eq!(bound.held(), taken as u64, "counted bytes match allocated bytes");
            }
            let remarks: Vec<_> = meters.into_iter().map(BodyMeter::finish).collect();
            let inspected = remarks.iter().filter(|remark| remark.is_none()).count();
            let dropped = Remark::NotInspected("copied_bytes_exceeded");
            assert_eq!(remarks.iter().filter(|remark| **remark == Some(dropped)).count(), 5 - inspected);
            assert!((1..=2).contains(&inspected), "{inspected} of 5 bodies were inspected");
            assert_eq!(bound.held(), 0);
        }
    }

    #[test]
    fn a_copy_grows_to_the_maximum_body_size_and_no_further() {
        let bound = ByteBound::new(u64::MAX);
        let mut meter = meter(5_000, true);
        show(&mut meter, &[b' '; 4_990], 10, &bound);
        assert_eq!((capacity(&meter), bound.held()), (5_000, 5_000));
        show(&mut meter, &[b' '; 11], 11, &bound);
        assert_eq!(bound.held(), 0, "a body that is too large is not copied any further");
        assert_eq!(meter.finish(), Some(Remark::WouldRefuse("body_too_large")));
    }

    #[test]
    fn an_incomplete_copy_gives_no_verdict() {
        let (bound, none) = (ByteBound::new(100), ByteBound::new(0));
        let seen = |body: &[u8], is_json: bool, bound: &Rc<ByteBound>| {
            let mut meter = meter(1_000, is_json);
            show(&mut meter, body, 1, bound);
            meter.finish()
        };
        let not_inspected = Some(Remark::NotInspected("copied_bytes_exceeded"));
        assert_eq!(seen(b"[1]", true, &bound), None);
        assert_eq!(seen(b"[1", true, &bound), Some(Remark::WouldRefuse("body_not_json")));
        assert_eq!(seen(b"[1", true, &none), not_inspected);
        assert_eq!(seen(b"[1", false, &none), None);
        assert_eq!(seen(b"", true, &none), None);
        let mut meter = meter(1_000, true);
        meter.add(2, b"", &bound).unwrap();
        meter.add(1, b"1", &bound).unwrap();
        assert_eq!(meter.finish(), not_inspected, "a part is missing");
    }

    fn capacity(meter: &BodyMeter) -> usize {
        match &meter.kind {
            MeterKind::Listens { copy: Some(copy), .. } => copy.bytes.capacity(),
            MeterKind::Listens { .. } | MeterKind::CutsOff => 0,
        }
    }
}
