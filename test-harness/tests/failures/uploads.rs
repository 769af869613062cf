//! Tests uploads that never end and occupy connections to an upstream, or memory if the filter holds the bodies back.

use std::io::Write;
use std::net::TcpStream;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use test_harness::client::{self, Request};
use test_harness::trial::{self, below};
use test_harness::{frames, h2c, latency, ports};

use crate::Plain;
use crate::allowed::WELL;
use crate::pressure::Pressure;
use crate::site::{PATIENCE, Site, more, until};

pub const CELLS: &[Plain] =
    &[("uploads of one byte occupy connections", many_small), ("uploads that are held back fill the heap", few_large)];

/// Starts uploads on all streams of [`CONNECTIONS`] connections. Each upload occupies a connection to an HTTP/1 upstream.
fn many_small() -> Result<()> {
    let site = Site::with_changes(
        |policy, _| add_route(policy, &json!({ "path": "/uploads", "auth": "none", "upstream": "orders" })),
        |_| Ok(()),
    )?;
    site.until("good", 200)?;
    let before = latency::p99(good(&site)?)?;
    let uploads: Vec<TcpStream> = (0..CONNECTIONS).map(|_| begin_uploads(site.port)).collect::<Result<_>>()?;
    let at_upstream = || Ok(site.envoy()?.stat("cluster.orders.upstream_rq_active")? >= CONNECTIONS * STREAMS);
    until("the uploads to reach the upstream", at_upstream)?;
    site.during(WELL, |answered| more(answered, 400))?;
    let among = latency::p99(good(&site)?)?;
    latency::report("one-byte uploads", before, among);
    ensure!(at_upstream()?, "some uploads have ended");
    drop(uploads);
    site.under_load(WELL)?;
    Ok(())
}

/// Raises the memory pressure during large uploads. Envoy must reset the streams that use the most memory before it refuses
/// requests.
fn few_large() -> Result<()> {
    let route = json!({ "path": "/held", "auth": "none", "upstream": "orders", "checks": { "max_body_bytes": LARGE } });
    let pressure = Pressure::new()?;
    let mut site = Site::with_changes(|policy, _| add_route(policy, &route), |config| pressure.take(config))?;
    site.until("good", 200)?;
    let before = latency::p99(good(&site)?)?;
    let to = ports::loopback(site.port);
    let upload = Request::new("POST", "/held", trial::HOST).body(vec![b'x'; LARGE - 1]);
    std::thread::scope(|scope| {
        let uploads: Vec<_> =
            (0..HOLDERS).map(|_| scope.spawn(|| h2c::send_unfinished(to, &upload, PATIENCE))).collect();
        let received = || site.envoy()?.stat("http.portcullis.downstream_cx_rx_bytes_total");
        let held = u64::try_from(HOLDERS * (LARGE - 1))?;
        until("the uploads to arrive", || Ok(received()? > held))?;
        site.during(WELL, |answered| {
            pressure.set("0.94")?;
            let reset = || site.envoy()?.stat("envoy.overload_actions.reset_high_memory_stream.count");
            until("the uploads to be reset", || Ok(reset()? == u64::try_from(HOLDERS)?))?;
            more(answered, 100)
        })?;
        latency::report("large uploads", before, latency::p99(good(&site)?)?);
        site.reached();
        for upload in uploads {
            let answer = upload.join().map_err(|_| anyhow::anyhow!("a client panicked"))?;
            ensure!(answer.is_err(), "an upload that Envoy reset got the response {answer:?}");
        }
        Ok(())
    })?;
    ensure!(site.reached() == 0, "a body that was held back reached the upstream");
    site.filter_never_failed()
}

/// Opens a connection with the maximum number of streams, each with one byte of an unfinished body.
fn begin_uploads(port: u16) -> Result<TcpStream> {
    let request = Request::new("POST", "/uploads", trial::HOST);
    let block = frames::block(&frames::fields(&request));
    let mut bytes = frames::PREFACE.to_vec();
    for stream in (1..).step_by(2).take(usize::try_from(STREAMS)?) {
        bytes.extend(frames::frame(frames::HEADERS, frames::END_HEADERS, stream, &block));
        bytes.extend(frames::frame(frames::DATA, 0, stream, b"x"));
    }
    let mut connection = TcpStream::connect(ports::loopback(port))?;
    connection.write_all(&bytes)?;
    Ok(connection)
}

/// Returns a function that sends a valid request, which must get 200.
fn good(site: &Site) -> Result<impl FnMut() -> Result<()> + Send> {
    let sorts = site.sorts();
    let (_, good) = sorts.into_iter().find(|(name, _)| *name == "good").context("no good request")?;
    let to = ports::loopback(site.port);
    Ok(move || {
        let response = client::send(to, &good, PATIENCE)?;
        ensure!(response.status == 200, "a valid request got the status {}", response.status);
        Ok(())
    })
}

fn add_route(policy: &mut Value, route: &Value) -> Result<()> {
    below(policy, "/routes")?.as_array_mut().context("no routes")?.push(route.clone());
    Ok(())
}

/// The number of connections. With [`STREAMS`] each, they carry 1,100 uploads, which is more than Envoy's default limit of 1,024
/// connections to an upstream.
const CONNECTIONS: u64 = 11;
const STREAMS: u64 = 100;
const HOLDERS: usize = 16;
/// The size limit of a held body. It is large enough for Envoy to reset such a stream under memory pressure.
const LARGE: usize = 2 << 20;
