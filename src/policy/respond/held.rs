//! Held responses, and the settings by which a route maps the bodies of responses.

use std::sync::Arc;

use super::json_api::Mapping;

/// How a route maps the responses of its upstream.
#[derive(Debug)]
pub struct ResponseMapping {
    /// The mapping to JSON:API.
    pub mapping: Mapping,
    /// The maximum size of the upstream's body and of the document, in bytes.
    pub max_bytes: usize,
    /// Whether the body of an error response becomes the `detail` of the error.
    pub error_detail: bool,
}

/// A response whose headers and body are held until the body is complete.
#[derive(Debug)]
pub struct HeldResponse {
    pub(super) mapping: Arc<ResponseMapping>,
    /// The status of an error response; `None` for a response whose body is mapped.
    pub(super) error: Option<u16>,
    /// Whether the body has a content coding, so that the response stage cannot read it.
    pub(super) is_coded: bool,
}

impl HeldResponse {
    /// Returns `true` for an error response. If its body cannot be held, the client gets the same status with a body without
    /// `detail`.
    pub fn is_error(&self) -> bool {
        self.error.is_some()
    }

    /// Returns `true` if the response stage reads the body. It reads the body of an error response only to copy it to `detail`.
    pub fn needs_body(&self) -> bool {
        self.error.is_none() || (self.mapping.error_detail && !self.is_coded)
    }

    /// Returns `true` if a body of this size in bytes is too large to map.
    pub fn is_too_large(&self, size: usize) -> bool {
        size > self.mapping.max_bytes
    }
}

/// The media type of JSON:API.
pub const JSON_API: &str = "application/vnd.api+json";
