//! Command-line arguments that might contain a secret: error messages do not repeat their value.

use std::ffi::OsStr;

use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use clap::{Arg, Command, Error};

/// A clap value parser that calls the given function. Its error message does not repeat the value, although the messages of
/// clap's own parsers do.
#[derive(Clone)]
pub struct PrivateArgument<T>(pub fn(&str) -> Result<T, String>);

impl<T: Clone + Send + Sync + 'static> TypedValueParser for PrivateArgument<T> {
    type Value = T;

    fn parse_ref(&self, command: &Command, argument: Option<&Arg>, value: &OsStr) -> Result<T, Error> {
        let read = value.to_str().ok_or_else(|| "expected UTF-8 text".to_string()).and_then(self.0);
        read.map_err(|fault| {
            let name = argument.map(ToString::to_string).unwrap_or_default();
            Error::raw(ErrorKind::ValueValidation, format!("invalid value for '{name}': {fault}\n")).with_cmd(command)
        })
    }
}
