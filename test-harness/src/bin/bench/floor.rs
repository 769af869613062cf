//! Builds modules that make the same host calls as Portcullis but decide nothing.
//!
//! The cost of such a module is the cost of Wasm and its ABI. A Wasm filter with the same effect cannot be cheaper, so this cost
//! is a floor. Portcullis itself causes only the cost above the floor.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use test_harness::small_module::{self, Export};
use wasm_encoder::Instruction;

/// The behaviour of a module on every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Floor {
    /// Makes one host call for a request: it sets the header that selects the upstream.
    Idle,
    /// Makes the host calls for a forwarded request: sets identity headers on the request and CORS headers on the response.
    Forwards,
    /// Makes the host calls for a request that is refused with 401.
    Refuses,
    /// Routes the request to the upstream, and logs [`CHUNK`] each time Envoy calls `proxy_on_response_body`.
    Counts,
}

/// Writes the module to a file in `directory` and returns the path of the file.
pub fn write(floor: Floor, directory: &Path) -> Result<PathBuf> {
    let file = directory.join(format!("floor-{floor:?}.wasm").to_lowercase());
    fs::write(&file, build(floor)?).with_context(|| format!("{}", file.display()))?;
    Ok(file)
}

fn build(floor: Floor) -> Result<Vec<u8>> {
    let mut calls = Calls::default();
    let (request, response) = match floor {
        Floor::Idle | Floor::Counts => (calls.pass(), None),
        Floor::Forwards => (calls.forward(), Some(calls.finish())),
        Floor::Refuses => (calls.refuse(), Some(vec![])),
    };
    let paused = i32::from(floor == Floor::Refuses);
    let mut callbacks = vec![
        Export::number("proxy_on_configure", 2, vec![Instruction::I32Const(1)]),
        Export::number("proxy_on_request_headers", 3, ended(request, paused)),
        Export::silent("proxy_on_log", 1, vec![]),
    ];
    if let Some(response) = response {
        callbacks.push(Export::number("proxy_on_response_headers", 3, ended(response, 0)));
    }
    if floor == Floor::Counts {
        callbacks.push(Export::number("proxy_on_response_body", 3, ended(calls.warn(CHUNK), 0)));
    }
    let imports = CALLS.map(|call| (call.0, call.1));
    small_module::build(&imports, callbacks, &calls.data)
}

fn ended(mut body: Vec<Instruction<'static>>, action: i32) -> Vec<Instruction<'static>> {
    body.push(Instruction::I32Const(action));
    body
}

/// Collects the strings and header lists whose addresses the module passes to the host. The host writes its results into the
/// first bytes of the module's memory.
#[derive(Default)]
struct Calls {
    data: Vec<u8>,
}

impl Calls {
    fn pass(&mut self) -> Vec<Instruction<'static>> {
        self.set(REQUEST, "x-portcullis-upstream", "api")
    }

    fn forward(&mut self) -> Vec<Instruction<'static>> {
        let identity = [("x-org-id", "org-5521"), ("x-user-email", "ada@example.com")];
        let more = [("x-user-id", "user-7d9f31"), ("x-user-role", "editor")];
        let mut body = self.read();
        body.extend(identity.iter().chain(&more).flat_map(|(name, value)| self.set(REQUEST, name, value)));
        body.extend(self.named("proxy_remove_header_map_value", REQUEST, "authorization", &[]));
        body.extend(self.pass());
        body
    }

    fn finish(&mut self) -> Vec<Instruction<'static>> {
        let mut body = self.named("proxy_get_header_map_value", RESPONSE, ":status", &[SCRATCH, SCRATCH + 4]);
        for name in ["headers", "methods", "private-network", "max-age"] {
            let name = format!("access-control-{}{name}", if name == "max-age" { "" } else { "allow-" });
            body.extend(self.named("proxy_remove_header_map_value", RESPONSE, &name, &[]));
        }
        body.extend(self.set(RESPONSE, "access-control-allow-origin", crate::site::ORIGIN));
        body.extend(self.set(RESPONSE, "access-control-allow-credentials", "true"));
        body.extend(self.set(RESPONSE, "access-control-expose-headers", crate::site::EXPOSED));
        body.extend(self.with_value("proxy_add_header_map_value", RESPONSE, "vary", "Origin"));
        body.extend(self.set(RESPONSE, "x-request-id", ID));
        body
    }

    fn refuse(&mut self) -> Vec<Instruction<'static>> {
        let headers = [
            ("content-type", "application/json"),
            ("cache-control", "no-store"),
            ("www-authenticate", "Bearer realm=\"gateway\""),
            ("x-request-id", ID),
            ("access-control-allow-origin", crate::site::ORIGIN),
            ("access-control-allow-credentials", "true"),
            ("access-control-expose-headers", crate::site::EXPOSED),
            ("vary", "Origin"),
        ];
        let mut body = self.read();
        body.extend(self.set(REQUEST, "x-portcullis-replied", "1"));
        let [details, reply, headers] =
            [b"token_missing".as_slice(), ENVELOPE.as_bytes(), &serialize(&headers)].map(|bytes| self.place(bytes));
        let arguments = [&[401], details.as_slice(), &reply, &headers, &[-1]].concat();
        body.extend(call("proxy_send_local_response", &arguments));
        body
    }

    fn warn(&mut self, text: &str) -> Vec<Instruction<'static>> {
        let text = self.place(text.as_bytes());
        call("proxy_log", &[[WARN].as_slice(), &text].concat())
    }

    /// Reads the time and the request headers, and writes the audit record into the filter state.
    fn read(&mut self) -> Vec<Instruction<'static>> {
        let (name, record) = (self.place(b"portcullis"), self.place(RECORD.as_bytes()));
        let mut body = call("proxy_get_current_time_nanoseconds", &[SCRATCH]);
        body.extend(call("proxy_get_header_map_pairs", &[REQUEST, SCRATCH, SCRATCH + 4]));
        body.extend(call("proxy_set_property", &[name, record].concat()));
        body
    }

    fn set(&mut self, map: i32, name: &str, value: &str) -> Vec<Instruction<'static>> {
        self.with_value("proxy_replace_header_map_value", map, name, value)
    }

    fn with_value(&mut self, function: &str, map: i32, name: &str, value: &str) -> Vec<Instruction<'static>> {
        let value = self.place(value.as_bytes());
        self.named(function, map, name, &value)
    }

    fn named(&mut self, function: &str, map: i32, name: &str, rest: &[i32]) -> Vec<Instruction<'static>> {
        let name = self.place(name.as_bytes());
        call(function, &[&[map], name.as_slice(), rest].concat())
    }

    /// Appends bytes to the module's data segment. Returns their address in the module's memory and their length.
    fn place(&mut self, bytes: &[u8]) -> [i32; 2] {
        if self.data.is_empty() {
            self.data.resize(ROOM_FOR_RESULTS, 0);
        }
        let at = self.data.len();
        self.data.extend_from_slice(bytes);
        [at, bytes.len()].map(|number| i32::try_from(number).unwrap_or(i32::MAX))
    }
}

fn call(function: &str, arguments: &[i32]) -> Vec<Instruction<'static>> {
    let index = CALLS.iter().position(|(name, _)| *name == function).unwrap_or(usize::MAX);
    let mut body: Vec<_> = arguments.iter().map(|number| Instruction::I32Const(*number)).collect();
    body.extend([Instruction::Call(u32::try_from(index).unwrap_or(u32::MAX)), Instruction::Drop]);
    body
}

/// Encodes header pairs as the ABI requires: first the number of pairs, then the two lengths of each pair, then each name and
/// value followed by a NUL.
fn serialize(pairs: &[(&str, &str)]) -> Vec<u8> {
    let length = |text: &str| u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes();
    let mut bytes = u32::try_from(pairs.len()).unwrap_or(u32::MAX).to_le_bytes().to_vec();
    pairs.iter().for_each(|(name, value)| bytes.extend([length(name), length(value)].concat()));
    pairs.iter().for_each(|(name, value)| bytes.extend([name.as_bytes(), b"\0", value.as_bytes(), b"\0"].concat()));
    bytes
}

/// The log line of [`Floor::Counts`].
pub const CHUNK: &str = "a chunk of a response";
const CALLS: [(&str, u32); 9] = [
    ("proxy_replace_header_map_value", 5),
    ("proxy_add_header_map_value", 5),
    ("proxy_remove_header_map_value", 3),
    ("proxy_get_header_map_value", 5),
    ("proxy_get_header_map_pairs", 3),
    ("proxy_set_property", 4),
    ("proxy_get_current_time_nanoseconds", 1),
    ("proxy_send_local_response", 8),
    ("proxy_log", 3),
];
const REQUEST: i32 = 0;
const RESPONSE: i32 = 2;
const SCRATCH: i32 = 8;
const WARN: i32 = 3;
const ROOM_FOR_RESULTS: usize = 16;
const ID: &str = "b2a1f0de-1111-4222-8333-444455556666";
const RECORD: &str = r#"{"request_id":"b2a1f0de-1111-4222-8333-444455556666","method":"GET","path":"/api/v1/r0/items/42","route":"ANY /api/v1/r0/items/{id}","credential":"token","issuer":"bench","subject":"user-7d9f31","decision":"allow","code":"OK"}"#;
const ENVELOPE: &str = r#"{"error":{"code":"UNAUTHORIZED","message":"Missing or invalid token","request_id":"b2a1f0de-1111-4222-8333-444455556666"},"metadata":{"success":false,"timestamp":"2026-11-26T08:57:15Z"}}"#;
