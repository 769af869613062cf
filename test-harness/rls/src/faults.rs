//! Faults that the service simulates on demand: each line on standard input selects a fault.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};

/// The fault that the service currently simulates.
#[derive(Default)]
pub struct Faults(Mutex<Fault>);

/// A kind of fault.
#[derive(Clone, Copy, Default)]
pub enum Fault {
    /// No fault.
    #[default]
    None,
    /// Every call fails with a gRPC error.
    Error,
    /// Every response has a code that the protocol does not define.
    Garbage,
    /// The service counts every call immediately and responds after this delay.
    Slow(Duration),
}

impl Faults {
    /// Returns the current fault.
    pub fn now(&self) -> Fault {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads lines from standard input and sets the fault that each line names: `none`, `error`, `garbage`, or `slow 200` for a
    /// delay of 200 ms. When the fault is active, prints the line with the prefix `fault`. Standard input ends when the parent
    /// process exits, and the service then exits too.
    pub async fn obey(self: Arc<Self>) {
        let mut lines = BufReader::new(tokio::io::stdin()).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let fault = match line.split_once(' ') {
                None if line == "none" => Fault::None,
                None if line == "error" => Fault::Error,
                None if line == "garbage" => Fault::Garbage,
                Some(("slow", millis)) => Fault::Slow(Duration::from_millis(millis.parse().unwrap_or_default())),
                _ => {
                    eprintln!("no such fault: {line}");
                    continue;
                }
            };
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = fault;
            println!("fault {line}");
        }
        std::process::exit(0);
    }
}
