//! `make bench`: what Portcullis costs, in CPU time of a real Envoy, next to Envoy's own filters doing the same work.

mod equal;
mod listener;
mod load;
mod measure;
mod native;
mod process;
mod row;
mod site;
mod spread;
mod tables;
mod timer;
mod tokens;
mod upstream;
mod variant;

use std::path::PathBuf;

use anyhow::Result;
use variant::Workshop;

fn main() -> Result<()> {
    let envoy = PathBuf::from(std::env::args().nth(1).unwrap_or_default());
    let extent = tables::Extent { rounds: 3, requests: 3000, cold: 300, routes: &[10, 100, 1000, 5000, 10000] };
    let wallet = tables::Wallet::mint(&extent)?;
    process::pin_self()?;
    let directory = PathBuf::from("target/bench");
    std::fs::create_dir_all(&directory)?;
    let shop = Workshop { envoy, directory, upstream: upstream::Upstream::start()? };
    let mut rows = tables::of_tokens(&shop, &extent, &wallet)?;
    rows.extend(tables::of_replies(&shop, &extent, &wallet)?);
    rows.extend(tables::of_routes(&shop, &extent, &wallet)?);
    for row in rows {
        for (name, _) in &row.figures {
            let (a, b) = (row.spread(name, false).unwrap(), row.spread(name, true).unwrap());
            println!("{:26} {:20} {name:32} {:7.1}  {:7.1} ({:.1}..{:.1})", row.table, row.name, a.median, b.median, b.min, b.max);
        }
    }
    Ok(())
}
