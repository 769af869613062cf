//! Faults on demand: each line on standard input sets one (`none`, `error`, `garbage`, `slow 200`), and is echoed when it holds.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};

/// What the service does wrong, now.
#[derive(Default)]
pub struct Faults(Mutex<Fault>);

/// One way of going wrong.
#[derive(Clone, Copy, Default)]
pub enum Fault {
    /// None.
    #[default]
    None,
    /// Every call fails.
    Error,
    /// Every answer has a code that does not exist.
    Garbage,
    /// Every call is counted at once and answered this much later.
    Slow(Duration),
}

impl Faults {
    /// The fault that holds now.
    pub fn now(&self) -> Fault {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what standard input says until it ends, which is when whoever started the service is gone: then it ends too.
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
