//! A bare engine on a TCP address, from any build of the library: what our fixes are tried against.
//!
//! ```text
//! raw-node LIBRARY ID ADDRESS LISTEN-ON DIRECTORY [SNAPSHOT-THRESHOLD]
//! ```
//! Runs until its standard input ends.

use std::{
    env,
    ffi::{CString, c_char, c_int, c_uint},
    io::Read,
    ptr,
};

use libdqlite_sys::dqlite_node;
use libloading::Library;

type Create =
    unsafe extern "C" fn(u64, *const c_char, *const c_char, *mut *mut dqlite_node) -> c_int;
type WithText = unsafe extern "C" fn(*mut dqlite_node, *const c_char) -> c_int;
type WithNumber = unsafe extern "C" fn(*mut dqlite_node, c_uint) -> c_int;
type WithNumbers = unsafe extern "C" fn(*mut dqlite_node, c_uint, c_uint) -> c_int;
type Plain = unsafe extern "C" fn(*mut dqlite_node) -> c_int;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [library, id, address, listen, directory, rest @ ..] = &arguments[..] else {
        return Err("LIBRARY ID ADDRESS LISTEN-ON DIRECTORY [SNAPSHOT-THRESHOLD]".into());
    };
    let (id, threshold) = (id.parse()?, rest.first().map(|t| t.parse()).transpose()?);
    let text = |text: &String| CString::new(text.as_str());
    let (address, listen, directory) = (text(address)?, text(listen)?, text(directory)?);
    let done = |code: c_int, what: &str| match code {
        0 => Ok(()),
        code => Err(format!("{what}: {code}")),
    };
    // SAFETY: the library is one of our two builds, whose functions have the types of its own header,
    // from which the types here are taken; every pointer lives until the process ends.
    unsafe {
        let library = Box::leak(Box::new(Library::new(library)?));
        let mut node = ptr::null_mut();
        let create = library.get::<Create>(b"dqlite_node_create")?;
        done(
            create(id, address.as_ptr(), directory.as_ptr(), &mut node),
            "create",
        )?;
        let bind = library.get::<WithText>(b"dqlite_node_set_bind_address")?;
        done(bind(node, listen.as_ptr()), "bind")?;
        let latency = library.get::<WithNumber>(b"dqlite_node_set_network_latency_ms")?;
        done(latency(node, 20), "latency")?;
        if let Some(threshold) = threshold {
            let snapshot = library.get::<WithNumbers>(b"dqlite_node_set_snapshot_params")?;
            done(snapshot(node, threshold, threshold), "snapshot parameters")?;
        }
        let start = library.get::<Plain>(b"dqlite_node_start")?;
        done(start(node), "start")?;
    }
    std::io::stdin().read_to_end(&mut Vec::new())?;
    // The process's end is the engine's: some builds abort when they are stopped.
    Ok(())
}
