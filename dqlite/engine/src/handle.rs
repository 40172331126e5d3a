//! The C pointer. Nothing else in the workspace calls libdqlite.

use std::{
    ffi::{CStr, CString, c_char, c_int, c_void},
    os::fd::IntoRawFd,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    ptr,
    time::Duration,
};

use libdqlite_sys as sys;

use crate::{Connect, Error, Snapshot};

/// An owned `dqlite_node`, destroyed on drop. `running` between a start and a stop that succeeded.
pub(crate) struct Handle {
    node: *mut sys::dqlite_node,
    running: bool,
    /// What libdqlite holds a pointer to; freed after the node.
    connect: Option<Box<Connect>>,
}

// SAFETY: libdqlite allows its functions to be called from any thread, one at a time; `&mut self`
// and ownership ensure the latter. `Connect` is Send and Sync itself.
unsafe impl Send for Handle {}

impl Handle {
    pub(crate) fn create(id: u64, address: &str, dir: &Path) -> Result<Self, Error> {
        let address = CString::new(address).map_err(|_| Error::Nul("address"))?;
        let path = CString::new(dir.as_os_str().as_encoded_bytes())
            .map_err(|_| Error::Nul("directory"))?;
        let mut node = ptr::null_mut();
        // SAFETY: both strings live through the call, which copies them; `node` is a valid place.
        let code =
            unsafe { sys::dqlite_node_create(id, address.as_ptr(), path.as_ptr(), &raw mut node) };
        // Also a node that failed to be made has a message and must be destroyed, once it is there.
        let handle = Self {
            node,
            running: false,
            connect: None,
        };
        if node.is_null() {
            let message = "out of memory".to_owned();
            return Err(Error::Library {
                call: "dqlite_node_create",
                code,
                message,
            });
        }
        handle.check("dqlite_node_create", code)?;
        Ok(handle)
    }

    fn check(&self, call: &'static str, code: c_int) -> Result<(), Error> {
        if code == 0 {
            return Ok(());
        }
        // SAFETY: the node is live; the message is a NUL-terminated buffer inside it.
        let message = unsafe { CStr::from_ptr(sys::dqlite_node_errmsg(self.node)) };
        Err(Error::Library {
            call,
            code,
            message: message.to_string_lossy().into_owned(),
        })
    }

    /// Binds to an address; `"@"` picks a free abstract name.
    pub(crate) fn bind(&mut self, address: &str) -> Result<(), Error> {
        let text = CString::new(address).map_err(|_| Error::Nul("bind address"))?;
        // SAFETY: the node is live and not started; the text is copied.
        let code = unsafe { sys::dqlite_node_set_bind_address(self.node, text.as_ptr()) };
        if code == 0 {
            Ok(())
        } else {
            Err(Error::Bind(address.to_owned()))
        }
    }

    /// The bound address, with the name that was picked.
    pub(crate) fn bound(&self) -> String {
        // SAFETY: called after a successful `bind`, so the address is a NUL-terminated text.
        let text = unsafe { CStr::from_ptr(sys::dqlite_node_get_bind_address(self.node)) };
        text.to_string_lossy().into_owned()
    }

    pub(crate) fn set_connect(&mut self, connect: Connect) -> Result<(), Error> {
        let connect = self.connect.insert(Box::new(connect));
        let arg = ptr::from_mut(&mut **connect).cast::<c_void>();
        // SAFETY: `arg` points into a box that this handle keeps until the node is destroyed.
        let code = unsafe { sys::dqlite_node_set_connect_func(self.node, Some(connect_peer), arg) };
        self.check("dqlite_node_set_connect_func", code)
    }

    pub(crate) fn set_latency(&mut self, latency: Duration) -> Result<(), Error> {
        let ms = u32::try_from(latency.as_millis()).map_err(|_| Error::Setting("latency"))?;
        // SAFETY: the node is live.
        let code = unsafe { sys::dqlite_node_set_network_latency_ms(self.node, ms) };
        if code == 0 {
            Ok(())
        } else {
            Err(Error::Setting("latency"))
        }
    }

    pub(crate) fn set_busy_timeout(&mut self, timeout: Duration) -> Result<(), Error> {
        let ms = u32::try_from(timeout.as_millis()).map_err(|_| Error::Setting("busy timeout"))?;
        // SAFETY: the node is live.
        let code = unsafe { sys::dqlite_node_set_busy_timeout(self.node, ms) };
        if code == 0 {
            Ok(())
        } else {
            Err(Error::Setting("busy timeout"))
        }
    }

    pub(crate) fn set_snapshot(&mut self, s: Snapshot) -> Result<(), Error> {
        // SAFETY: the node is live.
        let code =
            unsafe { sys::dqlite_node_set_snapshot_params(self.node, s.threshold, s.trailing) };
        if code == 0 {
            Ok(())
        } else {
            Err(Error::Setting("snapshot"))
        }
    }

    pub(crate) fn set_auto_recovery(&mut self, on: bool) -> Result<(), Error> {
        // SAFETY: the node is live.
        let code = unsafe { sys::dqlite_node_set_auto_recovery(self.node, on) };
        self.check("dqlite_node_set_auto_recovery", code)
    }

    /// Starts the engine's thread. Only after `bind`: without it the library aborts.
    pub(crate) fn start(&mut self) -> Result<(), Error> {
        // SAFETY: the node is configured and bound, and started at most once, since callers consume
        // what they start.
        let code = unsafe { sys::dqlite_node_start(self.node) };
        self.check("dqlite_node_start", code)?;
        self.running = true;
        Ok(())
    }

    /// Stops the engine's thread and waits for it. A second call does nothing.
    pub(crate) fn stop(&mut self) -> Result<(), Error> {
        if !std::mem::take(&mut self.running) {
            return Ok(());
        }
        // SAFETY: the node runs, and is not stopped twice: `running` was true.
        let code = unsafe { sys::dqlite_node_stop(self.node) };
        self.check("dqlite_node_stop", code)
    }

    /// Replaces the configuration in the directory of a node that does not run by one voter.
    pub(crate) fn recover_as(&mut self, id: u64, address: &str) -> Result<(), Error> {
        let text = CString::new(address).map_err(|_| Error::Nul("address"))?;
        let mut only = sys::dqlite_node_info_ext {
            size: size_of::<sys::dqlite_node_info_ext>() as u64,
            id,
            address: text.as_ptr() as u64,
            dqlite_role: 0,
        };
        // SAFETY: the node does not run; one live entry, whose address lives through the call.
        let code = unsafe { sys::dqlite_node_recover_ext(self.node, &raw mut only, 1) };
        self.check("dqlite_node_recover_ext", code)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let _ = self.stop();
        if !self.node.is_null() {
            // SAFETY: the node does not run any more, and this is its only owner.
            unsafe { sys::dqlite_node_destroy(self.node) };
        }
    }
}

/// Called by libdqlite on libuv's threads to reach a peer.
///
/// # Safety
/// `arg` is the `Connect` that `set_connect` passed, `address` a NUL-terminated text, `fd` writable.
unsafe extern "C" fn connect_peer(
    arg: *mut c_void,
    address: *const c_char,
    fd: *mut c_int,
) -> c_int {
    // SAFETY: see above; `Connect` is Sync, so several threads may share the reference.
    let (connect, address) = unsafe { (&*arg.cast::<Connect>(), CStr::from_ptr(address)) };
    // A panic must not cross into C.
    let connected = catch_unwind(AssertUnwindSafe(|| connect(&address.to_string_lossy())));
    match connected {
        Ok(Ok(socket)) => {
            // SAFETY: see above; from here on libdqlite owns the descriptor.
            unsafe { *fd = socket.into_raw_fd() };
            0
        }
        Ok(Err(_)) | Err(_) => 1,
    }
}
