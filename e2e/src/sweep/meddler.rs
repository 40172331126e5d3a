//! Sees every call of one operator that changes something, and does to one of them what a fault says.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::{process::Child, sync::watch};

use super::fault::{Fate, Fault};

/// How long nothing can be changed.
pub const FAILING: Duration = Duration::from_secs(20);

/// What the operator's connections to the API server have to bear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    Fair,
    /// Lists and watches of whole kinds show what they showed before.
    Frozen,
    /// Events of watches are lost.
    Deaf,
    /// Nothing answers.
    Away,
    /// Nothing can be changed.
    Failing,
    /// Lists and watches of whole kinds are told that what they ask for is too old.
    Gone,
}

/// One call that changes something, and when it came.
struct Call {
    what: String,
    at: Instant,
}

#[derive(Default)]
struct State {
    calls: Vec<Call>,
    /// Which call is to be met, counted from 1 at the flow's begin.
    set: Option<(usize, Fault)>,
    met: Option<String>,
    fails_since: Option<Instant>,
    operator: Option<Child>,
    /// PVCs that were deleted.
    deleted: BTreeSet<String>,
    /// What must never happen, and did.
    harm: Vec<String>,
}

pub struct Meddler {
    state: Mutex<State>,
    weather: watch::Sender<Weather>,
}

impl Meddler {
    pub fn new() -> Arc<Self> {
        let (state, weather) = (Mutex::default(), watch::Sender::new(Weather::Fair));
        Arc::new(Self { state, weather })
    }

    /// A flow begins, in which the `k`-th call meets a fault, if it comes to that. What lasts may come with the begin
    /// itself, as call 0.
    pub fn begin(self: &Arc<Self>, set: Option<(usize, Fault)>) {
        let mut state = self.state.lock().unwrap();
        let operator = state.operator.take();
        *state = State {
            set,
            operator,
            ..State::default()
        };
        if let Some((0, fault)) = set {
            state.met = Some("the begin".to_owned());
            self.strike(&mut state, fault);
        }
    }

    /// The operator wants to make a call.
    pub fn comes(self: &Arc<Self>, what: &str) -> Fate {
        let mut state = self.state.lock().unwrap();
        let (what, at) = (what.to_owned(), Instant::now());
        state.calls.push(Call {
            what: what.clone(),
            at,
        });
        if *self.weather.borrow() == Weather::Failing {
            return Fate::Refused(500);
        }
        let Some((k, fault)) = state.set else {
            return Fate::Pass;
        };
        if state.met.is_some() || state.calls.len() != k {
            return Fate::Pass;
        }
        state.met = Some(what);
        self.strike(&mut state, fault);
        fault.fate()
    }

    fn strike(self: &Arc<Self>, state: &mut State, fault: Fault) {
        if fault.ends_it() {
            // It may try again at once, so it ends before the call does.
            // One that has ended by itself is as good.
            let _ = state.operator.as_mut().map(Child::start_kill);
        }
        if fault == Fault::Failing {
            state.fails_since = Some(Instant::now());
        }
        if let Some((weather, lasts)) = fault.weather() {
            self.turn(weather, lasts);
        }
    }

    fn turn(self: &Arc<Self>, weather: Weather, lasts: Duration) {
        let _ = self.weather.send_replace(weather);
        let meddler = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(lasts).await;
            let _ = meddler.weather.send_replace(Weather::Fair);
        });
    }

    pub fn weather(&self) -> watch::Receiver<Weather> {
        self.weather.subscribe()
    }

    pub fn runs(&self, operator: Child) {
        self.state.lock().unwrap().operator = Some(operator);
    }

    /// Whether the operator's process has ended, or none was started.
    pub fn has_ended(&self) -> bool {
        let mut state = self.state.lock().unwrap();
        let operator = state.operator.as_mut();
        operator.is_none_or(|o| o.try_wait().unwrap().is_some())
    }

    /// Ends the operator for good.
    pub fn stop(&self) {
        let operator = self.state.lock().unwrap().operator.take();
        if let Some(mut operator) = operator {
            let _ = operator.start_kill();
        }
    }

    /// Waits until nothing lasts any more.
    pub async fn fair(&self) {
        // The sender is ours, so there is no error.
        let _ = self.weather().wait_for(|w| *w == Weather::Fair).await;
    }

    pub fn deleted(&self, claim: &str) {
        self.state.lock().unwrap().deleted.insert(claim.to_owned());
    }

    pub fn harm(&self, what: String) {
        self.state.lock().unwrap().harm.push(what);
    }

    /// Calls since the flow began, and the one that met the fault.
    pub fn calls(&self) -> (usize, Option<String>) {
        let state = self.state.lock().unwrap();
        (state.calls.len(), state.met.clone())
    }

    pub fn claims_deleted(&self) -> BTreeSet<String> {
        self.state.lock().unwrap().deleted.clone()
    }

    /// What must never happen, and did since the flow began.
    pub fn harms(&self) -> Vec<String> {
        let state = self.state.lock().unwrap();
        let mut harms = state.harm.clone();
        if let Some(since) = state.fails_since {
            let during = |c: &&Call| since <= c.at && c.at < since + FAILING;
            harms.extend(too_many(state.calls.iter().filter(during)));
        }
        harms
    }
}

/// While all calls fail, each object is tried once a second at most.
fn too_many<'a>(calls: impl Iterator<Item = &'a Call>) -> Option<String> {
    let mut tried = BTreeMap::<&str, Vec<Instant>>::new();
    for call in calls {
        let (_, object) = call.what.split_once(' ').unwrap_or_default();
        tried.entry(object).or_default().push(call.at);
    }
    let window = FAILING.as_secs() as usize / 2;
    let (what, _) = tried.into_iter().find(|(_, at)| {
        let mut windows = at.windows(window + 2);
        windows.any(|w| w[window + 1] - w[0] < FAILING / 2)
    })?;
    Some(format!(
        "{what}: over {window} times within {:?}",
        FAILING / 2
    ))
}
