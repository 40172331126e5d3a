//! A small world in which everything that can happen does, in every order: the shipped [`operator_plan::decide`] is
//! what decides, on views that may be old by the time it acts.
//!
//! ```text
//! raft.rs    logs of configurations and rows, elections, commits (Raft, as far as memberships and loss go)
//! world.rs   objects, disks, processes; what an operator sees of them
//! act.rs     a step that was decided, taken on the world as it is by then
//! rules.rs   rules that a decision can break
//! model.rs   what may happen next, and what must always hold
//! mutant.rs  what is wrong on purpose, to see that it is found
//! story.rs   how it came to a world, for people
//! ```

mod act;
mod model;
mod mutant;
mod raft;
mod rules;
mod story;
mod world;

pub use model::{Action, Faults, Model};
pub use mutant::Mutant;
pub use story::story;
pub use world::World;
