//! The shipped `decide` in a small world that checks the safety rules at every step.

#![allow(clippy::unwrap_used, reason = "tests")]

mod random;
mod stories;
mod updates;
mod world;
mod zones;
