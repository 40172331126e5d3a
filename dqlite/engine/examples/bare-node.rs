//! An engine on a TCP address with nothing before it: what the node's front is measured against, and the
//! least that runs a cluster.
//!
//! ```text
//! bare-node ID ADDRESS DIRECTORY [found] [nodelay] [LATENCY-MS]
//! ```
//! The first of a cluster is told `found`. With `nodelay` it reaches its peers through a function that sets
//! TCP_NODELAY, else through the library's own. Runs until its standard input ends.

use std::{env, io::Read, net::TcpStream, os::fd::OwnedFd, path::Path, time::Duration};

use dqlite_engine::Config;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [id, address, directory, options @ ..] = &arguments[..] else {
        return Err("ID ADDRESS DIRECTORY [found] [nodelay] [LATENCY-MS]".into());
    };
    let id = id.parse()?;
    let mut config = Config::new(id, address, directory)
        .bind(address)
        .busy_timeout(Duration::from_secs(5));
    for option in options {
        match option.as_str() {
            "found" => dqlite_engine::found(Path::new(directory), id, address)?,
            "nodelay" => config = config.connect(Box::new(connect)),
            ms => config = config.latency(Duration::from_millis(ms.parse()?)),
        }
    }
    let _engine = config.start()?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn connect(address: &str) -> std::io::Result<OwnedFd> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    Ok(stream.into())
}
