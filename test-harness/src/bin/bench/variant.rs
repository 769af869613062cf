//! The variants of the benchmark, and the functions that start them.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::{Context, Result};
use serde_json::Value;
use test_harness::ports;

use crate::floor::{self, Floor};
use crate::gateway::Gateway;
use crate::native::{self, Table};
use crate::process::{Launch, Process};
use crate::site::{self, Site};
use crate::upstream::Upstream;

/// A variant: the proxy that the benchmark runs in front of the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// Envoy without filters.
    Bare,
    /// Envoy with its own filters `jwt_authn`, `cors` and `rbac`. The fields are the number of tokens that `jwt_authn` caches,
    /// and the kind of the route table.
    Native(u32, Table),
    /// Envoy with Portcullis.
    Gateway,
    /// Envoy with `portcullis-full.wasm`, although the document does not need its additional features.
    Full,
    /// Envoy with the dynamic module of Portcullis.
    Module,
    /// Envoy with a module that makes the host calls of Portcullis but decides nothing.
    Floor(Floor),
}

/// The environment in which variants run.
#[derive(Debug)]
pub struct BenchContext {
    /// Envoy's binary.
    pub envoy: PathBuf,
    /// The directory for configurations and logs.
    pub directory: PathBuf,
    /// The upstream of all variants.
    pub upstream: Upstream,
    /// The filter's modules and the command line tool that are measured. If `None`, only the baselines are measured.
    pub gateway: Option<Gateway>,
    compared: Cell<usize>,
}

impl BenchContext {
    /// Creates a context. It starts no Envoy and has counted no comparisons.
    pub fn open(envoy: PathBuf, directory: PathBuf, upstream: Upstream, gateway: Option<Gateway>) -> Self {
        Self { envoy, directory, upstream, gateway, compared: Cell::new(0) }
    }

    /// Returns the number of successful comparisons between variants.
    pub fn compared(&self) -> usize {
        self.compared.get()
    }

    /// Adds `compared` to the number of successful comparisons.
    pub fn count(&self, compared: usize) {
        self.compared.set(self.compared.get() + compared);
    }

    /// Returns a site with `routes` routes to the upstream.
    pub fn site(&self, routes: usize) -> Site {
        Site::new(self.upstream.port(), routes)
    }

    /// Starts a variant with one worker on the reserved core.
    pub fn start(&self, variant: Variant, site: &Site) -> Result<Rc<Process>> {
        Ok(Rc::new(self.launch(variant, site, 1, true)?.0))
    }

    /// Starts a variant. If `pinned` is `true`, Envoy runs only on the reserved core. Returns the process and the milliseconds
    /// until the first response.
    pub fn launch(&self, variant: Variant, site: &Site, workers: usize, pinned: bool) -> Result<(Process, f64)> {
        let [port] = ports::free()?;
        let bootstrap = match variant {
            Variant::Bare => native::bare(site, port),
            Variant::Native(cache, table) => native::filters(site, port, cache, table)?,
            Variant::Gateway => self.gateway(site, port, None)?,
            Variant::Full => self.gateway(site, port, Some(&self.files()?.full_module()))?,
            Variant::Module => self.gateway(site, port, Some(&self.files()?.dynamic_module()))?,
            Variant::Floor(floor) => self.gateway(site, port, Some(&floor::write(floor, &self.directory)?))?,
        };
        let name = format!("{}-{port}", variant.file_name());
        let directory: &Path = &self.directory;
        let launch = Launch {
            envoy: &self.envoy,
            directory,
            name: &name,
            bootstrap: &bootstrap,
            port,
            workers,
            pinned,
            environment: &Gateway::environment(),
        };
        launch.start(&site::anonymous(site::HEALTH))
    }

    fn files(&self) -> Result<&Gateway> {
        self.gateway.as_ref().context("there is no module to measure")
    }

    /// Returns the bootstrap of Portcullis. If `module` is set, Envoy loads this module instead of Portcullis.
    fn gateway(&self, site: &Site, port: u16, module: Option<&Path>) -> Result<Value> {
        let gateway = self.files()?;
        let gateway = Gateway { module: module.unwrap_or(&gateway.module).to_owned(), ..gateway.clone() };
        gateway.bootstrap(site, port, &self.directory.join(format!("gateway-{port}.document.json")))
    }
}

impl Variant {
    fn file_name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Native(..) => "native",
            Self::Gateway => "gateway",
            Self::Full => "full",
            Self::Module => "dynamic-module",
            Self::Floor(_) => "floor",
        }
    }
}
