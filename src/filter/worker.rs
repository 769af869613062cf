//! What one worker holds: the roots, one for each plugin and configuration, and the requests that are under way.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::host;
use super::root::Root;
use super::stream::Stream;

thread_local! {
    static ROOTS: RefCell<Vec<(u32, Root)>> = const { RefCell::new(Vec::new()) };
    static REQUESTS: RefCell<Requests> = const { RefCell::new(HashMap::with_hasher(BuildHasherDefault::new())) };
}

type Requests = HashMap<u32, Stream, BuildHasherDefault<NumberHasher>>;

/// Takes a new root, or a new request of a root.
pub fn create(context: u32, parent: u32) {
    if parent == 0 {
        ROOTS.with_borrow_mut(|roots| roots.push((context, Root::default())));
        return;
    }
    let gateway = ROOTS.with_borrow(|roots| {
        let root = roots.iter().find(|(id, _)| *id == parent);
        root.and_then(|(_, root)| root.gateway())
    });
    REQUESTS.with_borrow_mut(|requests| requests.insert(context, Stream::new(context, gateway)));
}

/// Configures a root. Envoy says of no root that it is gone, for the callback that would say so is called for each request as
/// well: those that went while others served are found here, when a new configuration takes the place of an old one.
pub fn configure(root: u32) -> bool {
    ROOTS.with_borrow_mut(|roots| roots.retain(|(id, _)| host::act_for(*id)));
    host::act_for(root);
    with_root(root, Root::configure).unwrap_or(false)
}

/// Lets a root do what is due.
pub fn tick(root: u32) {
    with_root(root, Root::tick);
}

/// Hands a root the answer to one of its calls.
pub fn handle_answer(root: u32, call: u32) {
    with_root(root, |root| root.handle_answer(call));
}

/// Hands a root what a rate limit service said: a message of this size, or the status without one.
pub fn handle_quota(root: u32, call: u32, answer: Result<usize, u32>) {
    with_root(root, |root| root.handle_quota(call, answer));
}

/// A request under way; one that was never created is refused like one that no policy decides.
pub fn request(context: u32) -> Stream {
    let known = REQUESTS.with_borrow(|requests| requests.get(&context).cloned());
    known.unwrap_or_else(|| Stream::new(context, None))
}

/// Forgets a request, and writes its record where that is the filter's to do.
pub fn end(context: u32) {
    let ended = REQUESTS.with_borrow_mut(|requests| requests.remove(&context));
    if let Some(request) = ended {
        request.write_record();
    }
}

fn with_root<T>(root: u32, act: impl FnOnce(&mut Root) -> T) -> Option<T> {
    ROOTS.with_borrow_mut(|roots| roots.iter_mut().find(|(id, _)| *id == root).map(|(_, root)| act(root)))
}

/// Envoy numbers contexts one after the other: spread over the word's high bits, by which the map tells entries apart, they
/// need no other mixing.
#[derive(Debug, Default)]
struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn write_u32(&mut self, number: u32) {
        self.0 = u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, byte| hash.rotate_left(8) ^ u64::from(*byte));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
