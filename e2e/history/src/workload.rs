//! Clients of one database that write down what they do and see. Each does one thing after the other, and goes on over
//! a new connection when something failed.
//!
//! A read of dqlite outside of a write transaction may be older than what was acknowledged, so what must be current is read
//! within one.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use dqlite_client::{Client, Error, Options, Outcome, Session, Value, params};
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    NEVER, Span, Time,
    append::{Action, Transaction},
    bank,
    ledger::Ledger,
    register::{self, Operation, What},
};

/// The database of the workload.
pub const DATABASE: &str = "app";
const REGISTERS: u64 = 3;
/// Lists that are appended to at a time, and after how many appends others take their place.
const LISTS: u64 = 4;
const APPENDS: u64 = 200;
const ACCOUNTS: usize = 5;
const BALANCE: i64 = 100;
/// Clients of each kind do at least one of so many things: one that does nothing tests nothing.
const FLOOR: u64 = 200;
/// Within this, all can be read once the clients have stopped.
const LAST_LOOK: Duration = Duration::from_secs(30);
/// Between two tries of a client that finds no leader.
const RETRY: Duration = Duration::from_millis(10);

const TABLES: [&str; 5] = [
    "CREATE TABLE registers (key INTEGER PRIMARY KEY, value INTEGER)",
    "CREATE TABLE lists (n INTEGER PRIMARY KEY, key INTEGER, value INTEGER)",
    "CREATE TABLE accounts (id INTEGER PRIMARY KEY, balance INTEGER)",
    "CREATE TABLE ledger (n INTEGER)",
    "CREATE TABLE reads (n INTEGER PRIMARY KEY, times INTEGER)",
];

/// All that was done and seen.
#[derive(Debug, Default)]
pub struct History {
    /// Of each register.
    pub registers: BTreeMap<u64, Vec<Operation>>,
    /// On lists.
    pub transactions: Vec<Transaction>,
    /// All balances, each time that somebody read them.
    pub balances: Vec<Vec<i64>>,
    /// Rows of the ledger.
    pub ledger: Ledger,
    /// What was acknowledged, of each kind.
    pub acknowledged: BTreeMap<Kind, u64>,
}

impl History {
    fn add(&mut self, other: Self) {
        for (key, operations) in other.registers {
            self.registers.entry(key).or_default().extend(operations);
        }
        self.transactions.extend(other.transactions);
        self.balances.extend(other.balances);
        self.ledger.add(other.ledger);
        for (kind, n) in other.acknowledged {
            *self.acknowledged.entry(kind).or_default() += n;
        }
    }

    /// Whether a database that does one thing at a time could have shown all this. The rows of the ledger are compared
    /// with a database apart.
    ///
    /// # Errors
    ///
    /// The first violation, in words.
    pub fn check(&self) -> Result<(), String> {
        for (key, operations) in &self.registers {
            register::check(operations).map_err(|e| format!("register {key}: {e:?}"))?;
        }
        crate::append::check(&self.transactions).map_err(|e| format!("lists: {e:?}"))?;
        let sum = BALANCE * ACCOUNTS as i64;
        bank::check(sum, &self.balances).map_err(|e| format!("accounts: {e:?}"))?;
        let all: u64 = self.acknowledged.values().sum();
        let idle = Kind::ALL.into_iter().find(|k| {
            let done = self.acknowledged.get(k).copied().unwrap_or_default();
            done * FLOOR < all
        });
        idle.map_or(Ok(()), |k| {
            Err(format!(
                "{k:?} did next to nothing: {:?}",
                self.acknowledged
            ))
        })
    }
}

/// Running clients.
pub struct Workload {
    shared: Arc<Shared>,
    clients: JoinSet<History>,
}

struct Shared {
    client: Client,
    started: Instant,
    values: AtomicU64,
    appends: AtomicU64,
    acknowledged: AtomicU64,
    gap: Mutex<Gap>,
    stop: CancellationToken,
}

struct Gap {
    last: Instant,
    longest: Duration,
}

impl Workload {
    /// Makes the tables in a database that has none, and starts the clients. `addresses` are leader ports; `seed` decides
    /// what the clients do, not when.
    ///
    /// # Errors
    ///
    /// The tables cannot be made.
    pub async fn start(addresses: Vec<String>, seed: u64) -> Result<Self, Error> {
        let options = Options {
            connect_timeout: Duration::from_millis(500),
            request_timeout: Duration::from_secs(5),
            ..Options::default()
        };
        let client = Client::with_options(addresses, options);
        let mut session = client.open(DATABASE).await?;
        for table in TABLES {
            session.exec(table, &[]).await?;
        }
        for id in 0..ACCOUNTS as i64 {
            let insert = "INSERT INTO accounts VALUES (?, ?)";
            session.exec(insert, &params![id, BALANCE]).await?;
        }
        let shared = Arc::new(Shared {
            client,
            started: Instant::now(),
            values: AtomicU64::new(1),
            appends: AtomicU64::new(0),
            acknowledged: AtomicU64::new(0),
            gap: Mutex::new(Gap {
                last: Instant::now(),
                longest: Duration::ZERO,
            }),
            stop: CancellationToken::new(),
        });
        let kinds = [
            Kind::Register,
            Kind::Register,
            Kind::List,
            Kind::List,
            Kind::Bank,
            Kind::Bank,
            Kind::Ledger,
        ];
        let clients = (seed..).zip(kinds).map(|(seed, kind)| {
            let random = StdRng::seed_from_u64(seed);
            let (shared, session, history) = (shared.clone(), None, History::default());
            let one = One {
                shared,
                random,
                session,
                history,
            };
            one.run(kind)
        });
        Ok(Self {
            clients: clients.collect(),
            shared,
        })
    }

    /// What was acknowledged so far.
    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        self.shared.acknowledged.load(Ordering::Relaxed)
    }

    /// Waits until so many more writes are acknowledged.
    ///
    /// # Panics
    ///
    /// When that takes a minute: a workload that does nothing tests nothing.
    pub async fn more(&self, writes: u64) {
        let (goal, started) = (self.acknowledged() + writes, Instant::now());
        while self.acknowledged() < goal {
            let waited = started.elapsed();
            assert!(waited < Duration::from_secs(60), "no writes for a minute");
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Longest time between two acknowledged writes since this was asked last, that which lasts included.
    #[must_use]
    pub fn take_gap(&self) -> Duration {
        let mut gap = self.shared.gap();
        std::mem::take(&mut gap.longest).max(gap.last.elapsed())
    }

    /// Ends the clients, each after what it is at, and looks at everything once more: what was lost is missed then.
    ///
    /// # Errors
    ///
    /// Everything cannot be read for half a minute.
    pub async fn stop(self) -> Result<History, Error> {
        self.shared.stop.cancel();
        let mut all = History::default();
        for history in self.clients.join_all().await {
            all.add(history);
        }
        let started = Instant::now();
        loop {
            match self.shared.look_at_all(&all).await {
                Ok(seen) => all.add(seen),
                Err(_) if started.elapsed() < LAST_LOOK => {
                    tokio::time::sleep(RETRY).await;
                    continue;
                }
                Err(e) => return Err(e),
            }
            return Ok(all);
        }
    }
}

impl Shared {
    fn gap(&self) -> std::sync::MutexGuard<'_, Gap> {
        self.gap.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Time {
        self.started.elapsed().as_nanos() as Time + 1
    }

    /// All registers and lists that the history knows, and the accounts.
    async fn look_at_all(&self, known: &History) -> Result<History, Error> {
        let mut session = self.client.open(DATABASE).await?;
        let asked = self.now();
        let mut transaction = session.begin().await?;
        transaction.exec(COUNT, &[]).await?;
        let registers = "SELECT key, value FROM registers";
        let registers = transaction.query(registers, &[]).await?.rows;
        let lists = "SELECT key, value FROM lists ORDER BY key, n";
        let lists = transaction.query(lists, &[]).await?.rows;
        let balances = transaction.query(BALANCES, &[]).await?.rows;
        transaction.commit().await?;
        let answered = self.now();
        let span = Span { asked, answered };
        let mut seen = History::default();
        let values: BTreeMap<u64, u64> = pairs(&registers).collect();
        for key in known.registers.keys() {
            let what = What::Read(values.get(key).copied());
            seen.registers.insert(*key, vec![Operation { span, what }]);
        }
        let appended = known.transactions.iter().flat_map(|t| &t.done);
        let mut values: BTreeMap<u64, Vec<u64>> = appended.map(|a| (a.key(), Vec::new())).collect();
        for (key, value) in pairs(&lists) {
            values.entry(key).or_default().push(value);
        }
        let done = values
            .into_iter()
            .map(|(key, values)| Action::Read { key, values });
        let done = done.collect();
        seen.transactions.push(Transaction { span, done });
        seen.balances.push(integers(&balances).collect());
        Ok(seen)
    }
}

/// What a client does over and over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Kind {
    Register,
    List,
    Bank,
    Ledger,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Register, Self::List, Self::Bank, Self::Ledger];
}

/// A read that also writes sees what is newest.
const COUNT: &str = "INSERT INTO reads VALUES (1, 1) ON CONFLICT DO UPDATE SET times = times + 1";
const BALANCES: &str = "SELECT balance FROM accounts ORDER BY id";

/// One client.
struct One {
    shared: Arc<Shared>,
    random: StdRng,
    session: Option<Session>,
    history: History,
}

impl One {
    async fn run(mut self, kind: Kind) -> History {
        while !self.shared.stop.is_cancelled() {
            let done = match kind {
                Kind::Register => self.register().await,
                Kind::List => self.list().await,
                Kind::Bank => self.bank().await,
                Kind::Ledger => self.ledger().await,
            };
            match done {
                Ok(()) => self.acknowledge(kind),
                Err(_) => {
                    self.session = None;
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
        self.history
    }

    fn acknowledge(&mut self, kind: Kind) {
        *self.history.acknowledged.entry(kind).or_default() += 1;
        self.shared.acknowledged.fetch_add(1, Ordering::Relaxed);
        let mut gap = self.shared.gap();
        gap.longest = gap.longest.max(gap.last.elapsed());
        gap.last = Instant::now();
    }

    /// A new value of the workload.
    fn value(&self) -> u64 {
        self.shared.values.fetch_add(1, Ordering::Relaxed)
    }

    async fn session(&mut self) -> Result<Session, Error> {
        match self.session.take() {
            Some(session) => Ok(session),
            None => self.shared.client.open(DATABASE).await,
        }
    }

    /// From then until now, or without end where nobody knows whether it happened; `None` where it did not.
    fn span<T>(&self, asked: Time, ended: &Result<T, Error>) -> Option<Span> {
        let answered = match ended {
            Ok(_) => self.shared.now(),
            Err(e) if e.outcome() == Outcome::Unknown => NEVER,
            Err(_) => return None,
        };
        Some(Span { asked, answered })
    }

    async fn register(&mut self) -> Result<(), Error> {
        let key = self.random.random_range(0..REGISTERS);
        let writes = self.random.random_bool(0.5);
        let mut session = self.session().await?;
        let value = self.value();
        let asked = self.shared.now();
        let (what, ended) = if writes {
            let replace = "REPLACE INTO registers VALUES (?, ?)";
            let ended = session
                .exec(replace, &params![key as i64, value as i64])
                .await;
            (What::Write(value), ended.map(|_| ()))
        } else {
            let (read, ended) = read_register(&mut session, key).await?;
            (What::Read(read), ended)
        };
        // A read that is perhaps not committed saw perhaps nothing.
        let span = self.span(asked, &ended);
        if let Some(span) = span.filter(|s| writes || s.answered != NEVER) {
            let operation = Operation { span, what };
            self.history
                .registers
                .entry(key)
                .or_default()
                .push(operation);
        }
        ended?;
        self.session = Some(session);
        Ok(())
    }

    async fn list(&mut self) -> Result<(), Error> {
        let mut session = self.session().await?;
        let asked = self.shared.now();
        let mut transaction = session.begin().await?;
        let mut done = Vec::new();
        for i in 0..self.random.random_range(1..4) {
            let value = self.value();
            let appends = self.shared.appends.fetch_add(1, Ordering::Relaxed);
            let key = appends / APPENDS * LISTS + self.random.random_range(0..LISTS);
            // One that writes nothing may see what is old.
            done.push(if i == 0 || self.random.random_bool(0.5) {
                let insert = "INSERT INTO lists (key, value) VALUES (?, ?)";
                let values = params![key as i64, value as i64];
                transaction.exec(insert, &values).await?;
                Action::Append { key, value }
            } else {
                let select = "SELECT value FROM lists WHERE key = ? ORDER BY n";
                let rows = transaction.query(select, &params![key as i64]).await?;
                let values = integers(&rows.rows).map(|value| value as u64).collect();
                Action::Read { key, values }
            });
        }
        let ended = transaction.commit().await;
        if let Some(span) = self.span(asked, &ended) {
            self.history.transactions.push(Transaction { span, done });
        }
        ended?;
        self.session = Some(session);
        Ok(())
    }

    async fn bank(&mut self) -> Result<(), Error> {
        let (from, to) = (
            self.random.random_range(0..ACCOUNTS),
            self.random.random_range(0..ACCOUNTS),
        );
        let amount = self.random.random_range(1..20);
        let mut session = self.session().await?;
        let mut transaction = session.begin().await?;
        let rows = transaction.query(BALANCES, &[]).await?.rows;
        let mut balances: Vec<_> = integers(&rows).collect();
        self.history.balances.push(balances.clone());
        for (account, change) in [(from, -amount), (to, amount)] {
            balances[account] += change;
            let update = "UPDATE accounts SET balance = ? WHERE id = ?";
            let values = params![balances[account], account as i64];
            transaction.exec(update, &values).await?;
        }
        transaction.commit().await?;
        self.session = Some(session);
        Ok(())
    }

    async fn ledger(&mut self) -> Result<(), Error> {
        let mut session = self.session().await?;
        let n = self.value() as i64;
        let insert = "INSERT INTO ledger VALUES (?)";
        let ended = session.exec(insert, &params![n]).await;
        let ledger = &mut self.history.ledger;
        match &ended {
            Ok(_) => ledger.acknowledged.push(n),
            Err(e) if e.outcome() == Outcome::Unknown => ledger.unknown.push(n),
            Err(_) => ledger.failed.push(n),
        }
        ended?;
        self.session = Some(session);
        Ok(())
    }
}

/// Reads within a transaction that writes; what was read, and how its commit ended.
async fn read_register(
    session: &mut Session,
    key: u64,
) -> Result<(Option<u64>, Result<(), Error>), Error> {
    let mut transaction = session.begin().await?;
    transaction.exec(COUNT, &[]).await?;
    let select = "SELECT value FROM registers WHERE key = ?";
    let rows = transaction.query(select, &params![key as i64]).await?;
    let read = integers(&rows.rows).next().map(|value| value as u64);
    Ok((read, transaction.commit().await))
}

fn pairs(rows: &[Vec<Value>]) -> impl Iterator<Item = (u64, u64)> {
    rows.iter().filter_map(|row| match row[..] {
        [Value::Integer(a), Value::Integer(b)] => Some((a as u64, b as u64)),
        _ => None,
    })
}

/// The first column of each row.
fn integers(rows: &[Vec<Value>]) -> impl Iterator<Item = i64> {
    rows.iter().filter_map(|row| match row.first() {
        Some(Value::Integer(n)) => Some(*n),
        _ => None,
    })
}
