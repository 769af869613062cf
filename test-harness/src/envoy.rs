//! Finds, starts and monitors a real Envoy.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::client::{self, Request};
use crate::clock::Deadline;
use crate::ports;

/// The options for starting Envoy.
#[derive(Debug, Clone)]
pub struct Launch<'a> {
    /// The configuration as YAML or JSON.
    pub bootstrap: &'a str,
    /// The port of the admin interface in the configuration.
    pub admin: u16,
    /// The number of worker threads.
    pub workers: u32,
    /// The environment variables of Envoy, in addition to those of the test process.
    pub env: Vec<(String, String)>,
}

/// A running Envoy. It stops on drop.
#[derive(Debug)]
pub struct Envoy {
    child: Child,
    admin: u16,
    folder: PathBuf,
    host: Host,
}

/// The interface through which Envoy loads the filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// The wasm module.
    Wasm,
    /// The dynamic module.
    DynamicModule,
}

impl Host {
    /// Returns the host that loads a module: the dynamic module host if the file name ends with `.so`, else wasm.
    pub fn of(module: &Path) -> Host {
        if module.extension().is_some_and(|end| end == "so") { Host::DynamicModule } else { Host::Wasm }
    }

    /// Returns the hosts that the installed Envoy supports: wasm, and also dynamic modules from version 1.38 on.
    pub fn all() -> Result<Vec<Host>> {
        let has_both = version()? >= (1, 38);
        Ok([Host::Wasm].into_iter().chain(has_both.then_some(Host::DynamicModule)).collect())
    }

    /// Returns the host that tests use: the dynamic module if `$FILTER_HOST` is `dynamic-module`, else wasm.
    pub fn chosen() -> Host {
        if std::env::var_os("FILTER_HOST").is_some_and(|host| host == "dynamic-module") {
            Host::DynamicModule
        } else {
            Host::Wasm
        }
    }
}

impl Envoy {
    /// Starts Envoy and waits until it is ready.
    pub fn start(launch: &Launch<'_>) -> Result<Self> {
        let program = find()?;
        let folder = fresh_folder()?;
        fs::write(folder.join("envoy.yaml"), launch.bootstrap)?;
        let out = fs::File::create(folder.join("out.log"))?;
        let errors = out.try_clone()?;
        let mut command = Command::new(&program);
        command.arg("-c").arg(folder.join("envoy.yaml")).arg("--log-path").arg(folder.join("envoy.log"));
        command.args(["--use-dynamic-base-id", "--file-flush-interval-msec", "50", "-l", "info"]);
        command.args(["--concurrency", &launch.workers.to_string()]).envs(launch.env.iter().cloned());
        // After a reload, Envoy destroys the previous listener after this time. Its default is ten minutes.
        command.args(launch.bootstrap.contains("lds_config").then_some(["--drain-time-s", "3"]).iter().flatten());
        command.stdin(Stdio::null()).stdout(out).stderr(errors);
        let child = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
        // A configuration that reads its listeners from a file contains no filter.
        let host = match launch.bootstrap {
            text if text.contains("DynamicModuleFilter") => Host::DynamicModule,
            text if text.contains("vm_config") => Host::Wasm,
            _ => Host::chosen(),
        };
        let mut envoy = Self { child, admin: launch.admin, folder, host };
        envoy.wait_until_ready()?;
        Ok(envoy)
    }

    /// Sends `GET` to the admin interface and returns the response body.
    pub fn admin(&self, path: &str) -> Result<String> {
        let request = Request::new("GET", path, "admin");
        let response = client::send(ports::loopback(self.admin), &request, Duration::from_secs(5))?;
        Ok(String::from_utf8_lossy(&response.body).into_owned())
    }

    /// Sends `POST` to the admin interface. Returns an error unless the status is 200.
    pub fn admin_post(&self, path: &str) -> Result<()> {
        let request = Request::new("POST", path, "admin").header("content-length", "0");
        let response = client::send(ports::loopback(self.admin), &request, Duration::from_secs(5))?;
        anyhow::ensure!(response.status == 200, "POST {path} returned the status {}", response.status);
        Ok(())
    }

    /// Returns all lines that Envoy has written so far: first standard output with the access log, then the application log.
    pub fn lines(&self) -> Vec<String> {
        ["out.log", "envoy.log"].iter().flat_map(|name| lines_of(&self.folder.join(name))).collect()
    }

    /// Returns the last `count` lines that [`Envoy::lines`] returns.
    pub fn log_tail(&self, count: usize) -> String {
        let lines = self.lines();
        lines.get(lines.len().saturating_sub(count)..).unwrap_or_default().join("\n")
    }

    /// Kills Envoy like `kill -9`. Returns every line that Envoy had written.
    pub fn kill(mut self) -> Vec<String> {
        self.end();
        self.lines()
    }

    fn end(&mut self) {
        // The error is ignored, because the process may have exited already.
        let _gone = self.child.kill().and_then(|()| self.child.wait().map(drop));
    }

    /// Returns an error if Envoy has exited.
    pub fn still_runs(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("envoy ended with {status}; its last lines:\n{}", self.log_tail(15)),
            None => Ok(()),
        }
    }

    /// Returns an error if the filter has failed since the start or if a worker runs without the filter. A panic or a trap ends
    /// the Wasm VM of a worker (envoy-facts §0.4). If a worker cannot configure the filter, it processes requests
    /// without the filter (§0.1).
    pub fn filter_never_failed(&mut self, workers: u32) -> Result<()> {
        self.still_runs()?;
        if self.host == Host::DynamicModule {
            thread::sleep(UNWRITTEN);
            let panicked = self.lines().into_iter().find(|line| line.contains("the filter panicked"));
            anyhow::ensure!(panicked.is_none(), "the filter failed: {panicked:?}\n{}", self.log_tail(15));
            return Ok(());
        }
        let failed = |line: &String| line.contains("[critical][wasm]") || line.contains("failed: Uncaught");
        if let Some(line) = self.lines().iter().find(|line| failed(line)) {
            bail!("the filter failed: {line}\n{}", self.log_tail(15));
        }
        // Envoy creates a base VM, a VM for the main thread, and a VM for each worker (§2.1).
        let (active, all) = (self.stat("wasm.envoy.wasm.runtime.v8.active")?, u64::from(workers) + 2);
        if active != all {
            // The gauge can be too low although no VM has failed, because two workers may set it at the same time. If a VM has
            // failed, the log contains the failure after a delay, or the counter of created VMs is too high because Envoy has
            // created the VM again.
            thread::sleep(UNWRITTEN);
            let tells = |line: &String| failed(line) || line.contains("Wasm VM failed");
            let none_failed = !self.lines().iter().any(tells);
            anyhow::ensure!(
                none_failed && self.stat("wasm.envoy.wasm.runtime.v8.created")? == all,
                "Envoy has {active} Wasm VMs instead of {all} for {workers} workers, so a worker runs without the filter\n{}",
                self.log_tail(15)
            );
        }
        Ok(())
    }

    /// Returns the counter or gauge with this name, or 0 if it does not exist.
    pub fn stat(&self, name: &str) -> Result<u64> {
        let answer = self.admin(&format!("/stats?filter=^{name}$"))?;
        Ok(answer.trim().rsplit(' ').next().and_then(|count| count.parse().ok()).unwrap_or(0))
    }

    /// Returns the port of the admin interface.
    pub fn admin_port(&self) -> u16 {
        self.admin
    }

    /// Returns the process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let ready = Deadline::after(Duration::from_secs(30)).poll(|| match self.still_runs() {
            Err(ended) => Some(Err(ended)),
            Ok(()) => self.admin("/ready").ok().filter(|answer| answer.trim() == "LIVE").map(|_| Ok(())),
        });
        let not_ready = || bail!("envoy was not ready within 30 s; its last lines:\n{}", self.log_tail(15));
        ready.unwrap_or_else(not_ready)
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        self.end();
        let _left = fs::remove_dir_all(&self.folder);
    }
}

/// Returns Envoy's output as an error if Envoy rejects a configuration. `--mode validate` loads and configures the module, so
/// Envoy also rejects an invalid configuration of the filter.
pub fn validate(bootstrap: &str, env: &[(String, String)]) -> Result<(), String> {
    let run = || -> Result<Result<(), String>> {
        let folder = fresh_folder()?;
        let file = folder.join("envoy.yaml");
        fs::write(&file, bootstrap)?;
        let mut command = Command::new(find()?);
        command.args([OsStr::new("--mode"), OsStr::new("validate"), OsStr::new("-c"), file.as_os_str()]);
        let output = command.args(["-l", "warn"]).envs(env.iter().cloned()).stdin(Stdio::null()).output()?;
        fs::remove_dir_all(&folder)?;
        let said = [output.stdout, output.stderr].concat();
        Ok(if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&said).into_owned()) })
    };
    run().unwrap_or_else(|error| Err(format!("{error:#}")))
}

/// Returns the path of Envoy: `$ENVOY` if it is set, else `envoy` on the PATH, else the binary that `make envoy` installs.
pub fn find() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("ENVOY").filter(|named| !named.is_empty()) {
        let named = PathBuf::from(named);
        anyhow::ensure!(named.is_file(), "$ENVOY is {}, which is not a file", named.display());
        return Ok(named);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join("envoy"));
    let installed = root().join("build/envoy/bin/envoy");
    let found = on_path.chain([installed]).find(|program| program.is_file());
    found.context("Envoy was not found: set $ENVOY, put `envoy` on the PATH, or run `make envoy`")
}

/// Returns the first two numbers of a version: (1, 37) for both `1.37` and `1.37.0`.
pub fn version_number(text: &str) -> (u32, u32) {
    let mut numbers = text.split('.').map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// Returns the version of the Envoy at the path that [`find`] returns.
pub fn version() -> Result<(u32, u32)> {
    static FOUND: OnceLock<Option<(u32, u32)>> = OnceLock::new();
    let ask = || {
        let said = Command::new(find().ok()?).arg("--version").output().ok()?;
        // "envoy  version: COMMIT/1.40.0/Clean/RELEASE/BoringSSL"
        String::from_utf8_lossy(&said.stdout).split('/').nth_back(3).map(version_number)
    };
    FOUND.get_or_init(ask).context("`envoy --version` printed no version")
}

/// Returns the root folder of the project.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// Returns the path of the filter's module, which `make wasm` builds. `portcullis-full.wasm` must be in the same folder, because
/// `portcullis generate envoy` looks for it there.
pub fn module() -> Result<PathBuf> {
    module_of(Host::chosen())
}

/// Returns the path of the filter's module for a host. `$DYNAMIC_MODULE` names another dynamic module, for another architecture.
pub fn module_of(host: Host) -> Result<PathBuf> {
    if host == Host::DynamicModule {
        let named = std::env::var_os("DYNAMIC_MODULE").filter(|named| !named.is_empty());
        let module = root().join(named.map_or("dist/libportcullis.so".into(), PathBuf::from));
        anyhow::ensure!(module.is_file(), "{} is missing: run `make dynamic-module`", module.display());
        return Ok(module);
    }
    for name in ["dist/portcullis.wasm", "dist/portcullis-full.wasm"] {
        anyhow::ensure!(root().join(name).is_file(), "{name} is missing: run `make wasm`");
    }
    Ok(root().join("dist/portcullis.wasm"))
}

/// Creates a new folder for temporary files. The caller removes the folder.
pub fn fresh_folder() -> Result<PathBuf> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let folder = root().join("build/run").join(name);
    fs::create_dir_all(&folder).with_context(|| format!("cannot create the folder {}", folder.display()))?;
    Ok(folder)
}

fn lines_of(file: &Path) -> Vec<String> {
    let bytes = fs::read(file).unwrap_or_default();
    String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect()
}

/// How long to wait until Envoy has written its log lines: four times the flush interval that [`Envoy::start`] sets.
const UNWRITTEN: Duration = Duration::from_millis(200);
