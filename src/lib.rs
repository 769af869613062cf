//! Portcullis: an Envoy HTTP filter that decides about requests, and the tools that explain its decisions.

pub mod config;
pub mod policy;
pub mod strict_json;
