//! The C functions of libdqlite 1.18.7 and nothing else. `bindings.rs` is generated from `dqlite.h`
//! by `make bindings`; CI checks that it is current. The safe handle is the crate `dqlite-engine`.

#![no_std]
#![allow(
    missing_docs,
    non_camel_case_types,
    non_upper_case_globals,
    unsafe_code
)]

mod bindings;
pub use bindings::*;
