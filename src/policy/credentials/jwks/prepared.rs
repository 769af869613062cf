//! A key in the form that the verifier of a host uses. The core does not know this form, because it uses no library of a host.

use std::any::Any;
use std::sync::{Arc, OnceLock};

/// A key in the form that the verifier of a host uses, prepared at the first use. All clones share it.
#[derive(Clone, Default)]
pub(crate) struct PreparedKey(Arc<OnceLock<Box<dyn Any + Send + Sync>>>);

impl PreparedKey {
    /// Returns the prepared key. Returns `None` if another verifier has prepared it as another type.
    pub(crate) fn get_or_prepare<T: Any + Send + Sync>(&self, prepare: impl FnOnce() -> T) -> Option<&T> {
        self.0.get_or_init(|| Box::new(prepare())).downcast_ref()
    }
}
