//! The real operator under every fault that a call may meet: behind a proxy of ours, at a real API server, with
//! members that a stand-in plays. `make sweep` takes every call of every flow, `make test` some that a seed draws.
//!
//! ```text
//! main.rs     draws cases, runs them in lanes side by side, tells what came of it
//! lane.rs     one namespace with one operator; runs a flow and looks at what it ends in
//! fault.rs    what may happen to a call
//! meddler.rs  sees every call that changes something, and has one meet its fault
//! proxy.rs    between the operator and the API server
//! rights.rs   what the chart grants, and what was used of it
//! ```

pub mod fault;
pub mod lane;
pub mod meddler;
pub mod proxy;
pub mod rights;
