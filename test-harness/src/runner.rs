//! Runs groups of named checks in parallel and reports the results in the format of `cargo test`.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use anyhow::Result;

/// Checks that share servers and run one after the other.
pub struct Group {
    /// The name of the group, which is printed before the name of each check.
    pub name: String,
    /// The names of the checks in the group.
    pub checks: Vec<String>,
    /// Starts the servers and returns the function that runs the check with a given index.
    pub set_up: Box<dyn FnOnce() -> Result<Check> + Send>,
}

/// A function that runs the check with the given index. If the check fails, the error is the reason.
pub type Check = Box<dyn FnMut(usize) -> Result<(), String>>;

/// Runs all checks whose name contains one of the arguments of the command line. Without arguments, it runs all checks. At most
/// `at_once` groups run at the same time.
pub fn run(groups: Vec<Group>, at_once: usize) -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let chosen = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word.as_str()));
    let mut left = 0;
    let mut queue = VecDeque::new();
    for group in groups {
        let names: Vec<_> = group.checks.iter().map(|check| format!("{}: {check}", group.name)).collect();
        let marked: Vec<_> = names.into_iter().map(|name| (chosen(&name), name)).collect();
        left += marked.iter().filter(|(chosen, _)| !chosen).count();
        if marked.iter().any(|(chosen, _)| *chosen) {
            queue.push_back((group, marked));
        }
    }
    let count: usize = queue.iter().map(|(_, marked)| marked.iter().filter(|(chosen, _)| *chosen).count()).sum();
    println!("\nrunning {count} tests");
    let (queue, failures, passed) = (Mutex::new(queue), Mutex::new(Vec::new()), Mutex::new(0));
    // The closure releases the lock on the queue before the group runs, so that other threads can start their groups.
    let next = || lock(&queue).pop_front();
    std::thread::scope(|scope| {
        for _ in 0..at_once.max(1) {
            scope.spawn(|| {
                while let Some((group, marked)) = next() {
                    run_group(group, marked, |name, result| match result {
                        Ok(()) => {
                            println!("test {name} ... ok");
                            *lock(&passed) += 1;
                        }
                        Err(why) => {
                            println!("test {name} ... FAILED");
                            lock(&failures).push((name, why));
                        }
                    });
                }
            });
        }
    });
    report(&lock(&failures), *lock(&passed), count, left)
}

fn run_group(group: Group, marked: Vec<(bool, String)>, mut done: impl FnMut(String, Result<(), String>)) {
    let mut check = match guarded(|| (group.set_up)().map_err(|error| format!("{error:#}"))) {
        Ok(check) => check,
        Err(why) => {
            marked.into_iter().filter(|(chosen, _)| *chosen).for_each(|(_, name)| done(name, Err(why.clone())));
            return;
        }
    };
    for (index, (chosen, name)) in marked.into_iter().enumerate() {
        if chosen {
            let result = guarded(|| check(index));
            done(name, result);
        }
    }
}

/// Turns a panic into an error, so that it fails only one check and the other checks still run.
fn guarded<T>(run: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run))
        .unwrap_or_else(|_| Err("the check panicked; see the panic message above".to_owned()))
}

fn report(failures: &[(String, String)], passed: usize, count: usize, left: usize) -> ExitCode {
    if !failures.is_empty() {
        println!("\nfailures:");
        for (name, why) in failures {
            println!("\n---- {name} ----\n{why}");
        }
        println!("\nfailures:");
        failures.iter().for_each(|(name, _)| println!("    {name}"));
    }
    // If a check has no result, the run counts as failed.
    let good = failures.is_empty() && passed == count;
    let word = if good { "ok" } else { "FAILED" };
    let failed = count - passed;
    println!("\ntest result: {word}. {passed} passed; {failed} failed; 0 ignored; 0 measured; {left} filtered out\n");
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
