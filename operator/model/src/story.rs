//! How it came to a world, a line for each thing that happened.

use std::fmt::Write;

use stateright::Path;

use crate::{
    Action, World,
    raft::What,
    world::{Pass, id_of},
};

/// What happened on the way, and what is left at its end.
#[must_use]
pub fn story(path: Path<World, Action>) -> String {
    let mut told = String::new();
    let steps = path.into_vec();
    for pair in steps.windows(2) {
        let [(_, Some(action)), (after, _)] = pair else {
            continue;
        };
        let _ = writeln!(told, "  {}", line(action, after));
    }
    if let Some((last, _)) = steps.last() {
        let _ = write!(told, "{}", end(last));
    }
    told
}

fn line(action: &Action, after: &World) -> String {
    match action {
        Action::Read(i) => format!("operator {i} reads the objects"),
        Action::Decide(i) => match after.operators.get(*i) {
            Some(Pass::Means(meant)) => format!("operator {i} decides {:?}", meant.step),
            _ => format!("operator {i} has nothing to do"),
        },
        Action::Act(i) => format!("operator {i} does so"),
        Action::ActUnheard(i) => format!("operator {i} does so, and hears no answer"),
        Action::Forget(i) => format!("operator {i} ends before it does"),
        Action::Elect(n) => format!("member {n} is elected"),
        Action::Replicate(n) => format!("the log reaches member {n}"),
        Action::Write => "a client writes a row".into(),
        Action::End(n) => format!("the process of member {n} ends, and another starts"),
        Action::Silence(n) => format!("member {n} does not answer from now on"),
        Action::Wake(n) => format!("member {n} answers again"),
        Action::LoseDisk(n) => format!("the disk of member {n} is lost"),
        Action::EmptyDisk(n) => format!("the disk of member {n} is emptied"),
        Action::ReplaceDisk(n) => format!("another disk lies under the name of member {n}'s"),
        Action::Cordon(n) => format!("the node of member {n} takes no new pods"),
        Action::Unwant(n) => format!("a person asks for another in the place of member {n}"),
        Action::DeleteObject => "the object is deleted, and applied again".into(),
        Action::Update => "the user wants another template".into(),
        Action::Resize(members) => format!("the user wants {members} members"),
    }
}

fn end(world: &World) -> String {
    let mut told = String::from("and then:\n");
    for (n, slot) in &world.slots {
        let leads = if world.leader == Some(id_of(*n)) {
            ", leads"
        } else {
            ""
        };
        let disk = slot.disk.as_ref().map_or("no disk".into(), |disk| {
            let entries = disk.log.entries.iter().map(|e| match &e.what {
                What::Config(config) => format!("{}:{config:?}", e.term),
                What::Start => format!("{}:start", e.term),
                What::Row => format!("{}:row", e.term),
            });
            let entries: Vec<_> = entries.collect();
            format!(
                "{:?}, {} committed of {}",
                disk.phase,
                disk.log.commit,
                entries.join(" ")
            )
        });
        let _ = writeln!(told, "  member {n}{leads}: {disk}");
    }
    let _ = writeln!(told, "  record: {:?}", world.record);
    told
}
