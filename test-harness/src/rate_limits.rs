//! Starts a rate limit service and its Redis as separate processes.
//!
//! The service uses the library of Limitador, an existing rate limit service, and the protocol of Envoy's rate limit filter.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::clock::Deadline;
use crate::{envoy, ports};

/// A rate limit service and its Redis. Both processes stop on drop.
#[derive(Debug)]
pub struct RateLimits {
    folder: PathBuf,
    /// The port of the service. The port does not change when the service restarts.
    pub port: u16,
    redis_port: u16,
    redis: Option<Child>,
    service: Option<Service>,
    heard: ServiceLog,
}

#[derive(Debug)]
struct Service {
    child: Child,
    orders: ChildStdin,
}

/// The lines that the service wrote to standard output.
type ServiceLog = Arc<Mutex<Vec<String>>>;

/// One rate limit request that the service received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The domain and the entries of the descriptor, for example `portcullis/limit=per-client,client=c1`.
    pub about: String,
    /// The number of hits in the request. It is 0 if the service failed before it counted the hits.
    pub hits: u32,
    /// The response of the service: `OK`, `OVER_LIMIT` or `ERROR`.
    pub answer: String,
}

impl RateLimits {
    /// Starts the service and Redis, with limits in Limitador's format.
    pub fn start(limits: &Value) -> Result<Self> {
        let folder = envoy::fresh_folder()?;
        std::fs::write(folder.join("limits.json"), limits.to_string())?;
        let [port, redis_port] = ports::free()?;
        let mut all = Self { folder, port, redis_port, redis: None, service: None, heard: ServiceLog::default() };
        all.start_redis()?;
        all.start_service()?;
        Ok(all)
    }

    /// Starts a Redis without data on the port that the service uses.
    pub fn start_redis(&mut self) -> Result<()> {
        let program = std::env::var_os("REDIS_SERVER").unwrap_or_else(|| "redis-server".into());
        let port = self.redis_port.to_string();
        let mut command = Command::new(&program);
        command.args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        command.current_dir(&self.folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().with_context(|| format!("cannot start {program:?}: run `make rls`"))?;
        self.redis = Some(child);
        let answers = || std::net::TcpStream::connect(ports::loopback(self.redis_port)).ok();
        Deadline::after(PATIENCE).poll(answers).context("Redis did not accept connections in time")?;
        Ok(())
    }

    /// Stops Redis. The service keeps running.
    pub fn stop_redis(&mut self) {
        end(self.redis.take());
    }

    /// Starts the service and waits until it is ready.
    pub fn start_service(&mut self) -> Result<()> {
        let program = envoy::root().join("build/rls/rls");
        let mut command = Command::new(&program);
        command.arg(ports::loopback(self.port).to_string()).arg(self.folder.join("limits.json"));
        command.arg(format!("redis://127.0.0.1:{}", self.redis_port));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().with_context(|| format!("no {}: run `make rls`", program.display()))?;
        let (orders, lines) = (child.stdin.take(), child.stdout.take());
        let (Some(orders), Some(lines)) = (orders, lines) else { bail!("the service has no standard streams") };
        let heard = self.heard.clone();
        // The thread ends when the service exits and closes its output.
        thread::spawn(move || {
            for line in BufReader::new(lines).lines().map_while(Result::ok) {
                heard.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        let before = self.count("ready");
        self.service = Some(Service { child, orders });
        Deadline::after(PATIENCE)
            .poll(|| (self.count("ready") > before).then_some(()))
            .context("the rate limit service was not ready in time")
    }

    /// Stops the service. Redis keeps running.
    pub fn stop_service(&mut self) {
        end(self.service.take().map(|service| service.child));
    }

    /// Sets the fault that the service simulates: `error`, `garbage`, `none`, or for example `slow 200` for a delay of 200 ms.
    pub fn fail(&mut self, fault: &str) -> Result<()> {
        let order = format!("fault {fault}");
        let before = self.count(&order);
        let service = self.service.as_mut().context("the rate limit service is not running")?;
        writeln!(service.orders, "{fault}")?;
        Deadline::after(PATIENCE)
            .poll(|| (self.count(&order) > before).then_some(()))
            .context("the rate limit service did not confirm the fault in time")
    }

    /// Returns every rate limit request that the service has received so far.
    pub fn calls(&self) -> Result<Vec<Call>> {
        let lines = self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone();
        lines.iter().filter_map(|line| line.strip_prefix("call ")).map(Call::read).collect()
    }

    fn count(&self, line: &str) -> usize {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).iter().filter(|heard| *heard == line).count()
    }
}

impl Drop for RateLimits {
    fn drop(&mut self) {
        self.stop_service();
        self.stop_redis();
        let _left = std::fs::remove_dir_all(&self.folder);
    }
}

impl Call {
    fn read(line: &str) -> Result<Self> {
        let mut words = line.split(' ').map(str::to_owned);
        let (Some(about), Some(hits), Some(answer)) = (words.next(), words.next(), words.next()) else {
            bail!("not a rate limit call: {line}");
        };
        let hits = hits.parse()?;
        ensure!(words.next().is_none(), "not a rate limit call: {line}");
        Ok(Self { about, hits, answer })
    }
}

/// Returns a limit in Limitador's format. The limit allows `hits` hits in `seconds` seconds for each value of the descriptor
/// entry `entry`. It applies to descriptors with the entry `limit=name`.
pub fn limit(name: &str, hits: u64, seconds: u64, entry: &str) -> Value {
    json!({
        "namespace": "portcullis", "name": name, "max_value": hits, "seconds": seconds,
        "conditions": [format!("descriptors[0]['limit'] == '{name}'")],
        "variables": [format!("descriptors[0]['{entry}']")],
    })
}

fn end(child: Option<Child>) {
    if let Some(mut child) = child {
        // The error is ignored, because the process may have exited already.
        let _gone = child.kill().and_then(|()| child.wait().map(drop));
    }
}

const PATIENCE: Duration = Duration::from_secs(20);
