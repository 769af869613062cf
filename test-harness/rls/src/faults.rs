//! Faults on demand: each line on standard input sets one (`none`, `error`, `garbage`, `slow 200`), and is echoed once active.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};

/// The current fault of the service.
#[derive(Default)]
pub struct Faults(Mutex<Fault>);

/// A kind of fault.
#[derive(Clone, Copy, Default)]
pub enum Fault {
    /// No fault.
    #[default]
    None,
    /// Every call fails.
    Error,
    /// Every response has a code that does not exist.
    Garbage,
    /// Every call is counted immediately and answered after this delay.
    Slow(Duration),
}

impl Faults {
    /// Returns the current fault.
    pub fn now(&self) -> Fault {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows standard input until it ends. It ends when the parent process exits, and then this service exits too.
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
