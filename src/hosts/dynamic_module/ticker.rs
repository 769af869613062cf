//! The thread that wakes the main thread and the workers, because Envoy has no timer for filters (envoy-facts §5.6).

use std::sync::{Arc, Mutex, Weak};
use std::thread;

use super::shared::lock;
use super::shared_plugin::SharedPlugin;
use crate::gateway::TICK;

/// The plugins to wake, and whether the thread runs.
static PLUGINS: Mutex<(Vec<Weak<SharedPlugin>>, bool)> = Mutex::new((Vec::new(), false));

/// Wakes a plugin every [`TICK`], until Envoy destroys it. Starts the thread if it does not run.
///
/// # Errors
/// Returns an error if the system cannot start a thread.
pub fn add(plugin: &Arc<SharedPlugin>) -> std::io::Result<()> {
    let mut plugins = lock(&PLUGINS);
    plugins.0.push(Arc::downgrade(plugin));
    if !plugins.1 {
        thread::Builder::new().name("portcullis".to_string()).spawn(run)?;
        plugins.1 = true;
    }
    Ok(())
}

fn run() {
    loop {
        // A request that waits for the result of a rate limit call is woken at once, and not by a tick.
        thread::sleep(TICK);
        let live: Vec<Arc<SharedPlugin>> = {
            let mut plugins = lock(&PLUGINS);
            plugins.0.retain(|plugin| plugin.upgrade().is_some_and(|plugin| !plugin.is_closed()));
            if plugins.0.is_empty() {
                plugins.1 = false;
                return;
            }
            plugins.0.iter().filter_map(Weak::upgrade).collect()
        };
        live.iter().for_each(|plugin| plugin.tick());
    }
}
