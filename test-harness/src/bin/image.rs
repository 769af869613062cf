//! Packs the filter's module into an OCI image layout, which can be pushed to a registry and which Istio can load.
//!
//! The same module always gives the same output. The image has the container-compatible form of the Wasm image specification:
//! one gzipped tar layer with `plugin.wasm` at its root. `skopeo copy oci:dist/oci docker://…` pushes the image without a
//! Docker daemon.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use flate2::{Compression, GzBuilder};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.as_slice() {
        [module, layout] => write(Path::new(module), Path::new(layout)),
        _ => Err(anyhow::anyhow!("usage: image MODULE.wasm LAYOUT")),
    };
    match result {
        Ok(digest) => {
            println!("{digest}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("image: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Writes the image layout and returns the digest of the manifest.
fn write(module: &Path, layout: &Path) -> Result<String> {
    let title = module.file_stem().and_then(|stem| stem.to_str()).unwrap_or("portcullis").to_owned();
    let module = fs::read(module).with_context(|| format!("cannot read {}", module.display()))?;
    if layout.exists() {
        fs::remove_dir_all(layout)?;
    }
    let blobs = layout.join("blobs/sha256");
    fs::create_dir_all(&blobs)?;
    let archive = tar("plugin.wasm", &module)?;
    let mut zipped = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    zipped.write_all(&archive)?;
    let layer = add(&blobs, "image.layer.v1.tar+gzip", &zipped.finish()?)?;
    let config = json!({
        "architecture": "wasm",
        "os": "wasip1",
        "config": {},
        "rootfs": { "type": "layers", "diff_ids": [digest(&archive)] },
    });
    let config = add(&blobs, "image.config.v1+json", config.to_string().as_bytes())?;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": media_type("image.manifest.v1+json"),
        "config": config,
        "layers": [layer],
        "annotations": {
            "org.opencontainers.image.title": title,
            "org.opencontainers.image.version": env!("CARGO_PKG_VERSION"),
            "org.opencontainers.image.licenses": "Apache-2.0",
        },
    });
    let mut manifest = add(&blobs, "image.manifest.v1+json", manifest.to_string().as_bytes())?;
    let named = manifest.get("digest").and_then(Value::as_str).unwrap_or_default().to_owned();
    if let Some(members) = manifest.as_object_mut() {
        let name = json!({ "org.opencontainers.image.ref.name": env!("CARGO_PKG_VERSION") });
        members.insert("annotations".to_owned(), name);
    }
    fs::write(layout.join("index.json"), json!({ "schemaVersion": 2, "manifests": [manifest] }).to_string())?;
    fs::write(layout.join("oci-layout"), json!({ "imageLayoutVersion": "1.0.0" }).to_string())?;
    Ok(named)
}

/// Stores a blob under its digest and returns its descriptor.
fn add(blobs: &Path, kind: &str, content: &[u8]) -> Result<Value> {
    let digest = digest(content);
    let name = digest.strip_prefix("sha256:").unwrap_or(&digest);
    fs::write(blobs.join(name), content)?;
    Ok(json!({ "mediaType": media_type(kind), "digest": digest, "size": content.len() }))
}

/// Returns a tar archive (POSIX.1 ustar) with one world-readable file. The owner and the time are zero, so that the archive is
/// reproducible.
fn tar(name: &str, content: &[u8]) -> Result<Vec<u8>> {
    let mut header = [0u8; BLOCK];
    let mut field = |at: usize, text: &str| -> Result<()> {
        let Some(place) = header.get_mut(at..at + text.len()) else { bail!("`{text}` does not fit into a tar header") };
        place.copy_from_slice(text.as_bytes());
        Ok(())
    };
    field(0, name)?;
    field(100, "0000644\0")?;
    field(108, "0000000\0")?;
    field(116, "0000000\0")?;
    field(124, &format!("{:011o}\0", content.len()))?;
    field(136, "00000000000\0")?;
    // POSIX requires that the checksum field contains spaces while the checksum is computed.
    field(148, "        ")?;
    field(156, "0")?;
    field(257, "ustar\x0000")?;
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    if let Some(place) = header.get_mut(148..156) {
        place.copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    let mut archive = header.to_vec();
    archive.extend_from_slice(content);
    archive.resize(archive.len().next_multiple_of(BLOCK) + 2 * BLOCK, 0);
    Ok(archive)
}

fn digest(content: &[u8]) -> String {
    let hash = Sha256::digest(content);
    hash.iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

fn media_type(kind: &str) -> String {
    format!("application/vnd.oci.{kind}")
}

const BLOCK: usize = 512;
