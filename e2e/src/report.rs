//! One line of figures per test, for the table at the end; and, when a test fails, what one needs to
//! see why.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use crate::{provider::root, writer::Tally};

fn directory() -> PathBuf {
    root().join("e2e/report")
}

/// Figures of a test.
#[derive(Debug, Default)]
pub struct Line {
    pub acknowledged: usize,
    pub unknown: usize,
    pub longest_gap: Duration,
    pub note: String,
}

impl Line {
    /// The sum of several writers' figures.
    pub fn of(tallies: &[Tally]) -> Self {
        Self {
            acknowledged: tallies.iter().map(|t| t.acknowledged.len()).sum(),
            unknown: tallies.iter().map(|t| t.unknown.len()).sum(),
            longest_gap: tallies
                .iter()
                .map(|t| t.longest_gap)
                .max()
                .unwrap_or_default(),
            note: String::new(),
        }
    }

    /// Writes the line; the rows were compared before, so none is lost.
    pub fn write(&self, test: &str) {
        let Self {
            acknowledged,
            unknown,
            longest_gap,
            note,
        } = self;
        let gap = longest_gap.as_secs_f64();
        let line = format!("| {test} | {acknowledged} | {unknown} | 0 | {gap:.2} s | {note} |\n");
        println!("{line}");
        let dir = directory().join("lines");
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(test), line).unwrap();
    }
}

/// Notes that a test did not run; the suite counts those, and fails if it was all of them.
pub fn skip(test: &str, why: &str) {
    println!("{test}: skipped, {why}");
    let dir = directory().join("skipped");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join(test), why).unwrap();
}

/// Keeps the objects, events and logs of a namespace, and the operator's log.
pub fn keep(test: &str, namespace: &str) {
    let dir = directory().join("failures").join(test);
    if fs::create_dir_all(&dir).is_err() {
        return;
    }
    let pods = "for p in $(kubectl -n NS get pods -o name); do echo \"== $p\"; \
                kubectl -n NS logs --timestamps --prefix $p; kubectl -n NS logs -p $p; done";
    for (file, script) in [
        (
            "objects.yaml",
            "kubectl -n NS get dq,sts,pvc,pod,svc,pdb,cm -o yaml",
        ),
        ("describe.txt", "kubectl -n NS describe dq,sts,pvc,pod"),
        (
            "events.txt",
            "kubectl -n NS get events --sort-by=.lastTimestamp",
        ),
        ("pods.log", pods),
        (
            "operator.log",
            "kubectl -n dqlite-system logs deployment/dqlite-operator --since=15m",
        ),
    ] {
        let script = script.replace("NS", namespace);
        if let Ok(out) = Command::new("bash").args(["-c", &script]).output() {
            let _ = fs::write(dir.join(file), [out.stdout, out.stderr].concat());
        }
    }
    eprintln!("kept in {}", dir.display());
}
