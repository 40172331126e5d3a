//! Transactions that append to lists and read them: a list tells who wrote it in which order, so the dependencies between
//! transactions are known. The history is strictly serializable if these, with the order in time, have no cycle.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::{
    algo::kosaraju_scc,
    graph::{DiGraph, NodeIndex},
};

use crate::{NEVER, Span};

/// One thing that a transaction did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Put a value, which is put nowhere else, at the end of a list.
    Append {
        /// Which list.
        key: u64,
        /// The value.
        value: u64,
    },
    /// Read a whole list.
    Read {
        /// Which list.
        key: u64,
        /// What was in it.
        values: Vec<u64>,
    },
}

impl Action {
    /// Which list it is about.
    #[must_use]
    pub fn key(&self) -> u64 {
        match self {
            Self::Append { key, .. } | Self::Read { key, .. } => *key,
        }
    }
}

/// One transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// From its begin to the answer to its commit.
    pub span: Span,
    /// What it did, in order.
    pub done: Vec<Action>,
}

/// Why a history is not strictly serializable. Transactions are told by their place in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// The check needs values that differ.
    AppendedTwice(u64),
    /// Transaction reads a value that no transaction appended which may have been committed.
    NeverAppended(usize, u64),
    /// Transaction does not see its own doing, or sees others' change in its midst.
    Internal(usize),
    /// Transaction's view of a list is not the beginning of what another saw of it.
    Incompatible(usize, u64),
    /// What a transaction appended to a list does not stand there together, in order.
    Torn(usize, u64),
    /// No order of these transactions explains what they saw.
    Cycle(Vec<usize>),
}

/// Whether a history is strictly serializable. Transactions that are known to have failed are left out.
///
/// # Errors
///
/// A violation, if there is one.
pub fn check(history: &[Transaction]) -> Result<(), Violation> {
    let lists = Lists::of(history)?;
    let mut graph = DiGraph::<Option<usize>, ()>::new();
    let nodes: Vec<_> = (0..history.len())
        .map(|i| graph.add_node(Some(i)))
        .collect();
    let happened = |i: usize| lists.known.contains(&i);
    add_time(history, happened, &mut graph, &nodes);
    for (before, after) in lists.dependencies(history) {
        if before != after && happened(before) && happened(after) {
            graph.update_edge(nodes[before], nodes[after], ());
        }
    }
    let cycles = kosaraju_scc(&graph).into_iter().filter(|c| c.len() > 1);
    let shortest = cycles.min_by_key(Vec::len);
    shortest.map_or(Ok(()), |cycle| {
        Err(Violation::Cycle(
            cycle.iter().filter_map(|n| graph[*n]).collect(),
        ))
    })
}

/// Each read ends with what the transaction itself appended so far, and the rest of a list does not change under it.
fn sees_itself(transaction: &Transaction) -> bool {
    let all_own = own_values(transaction);
    let mut own: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    let mut others: BTreeMap<u64, &[u64]> = BTreeMap::new();
    transaction.done.iter().all(|action| match action {
        Action::Append { key, value } => {
            own.entry(*key).or_default().push(*value);
            true
        }
        Action::Read { key, values } => {
            let own = own.get(key).map_or(&[][..], Vec::as_slice);
            let rest = values.strip_suffix(own);
            rest.is_some_and(|rest| {
                let foreign = rest.iter().all(|v| !all_own.contains(&(*key, *v)));
                foreign && *others.entry(*key).or_insert(rest) == rest
            })
        }
    })
}

fn own_values(transaction: &Transaction) -> BTreeSet<(u64, u64)> {
    let appended = appends(std::slice::from_ref(transaction));
    appended.map(|(_, key, value)| (key, value)).collect()
}

/// What is known of the lists.
struct Lists {
    /// Who appended a value to a list.
    writers: BTreeMap<(u64, u64), usize>,
    /// The longest view of each list.
    orders: BTreeMap<u64, Vec<u64>>,
    /// Those that happened: they were answered, or somebody saw what they did.
    known: BTreeSet<usize>,
}

impl Lists {
    fn of(history: &[Transaction]) -> Result<Self, Violation> {
        let mut writers = BTreeMap::new();
        for (i, key, value) in appends(history) {
            if writers.insert((key, value), i).is_some() {
                return Err(Violation::AppendedTwice(value));
            }
        }
        // A transaction of which nothing is known did perhaps not happen, and its views not either, unless
        // another saw what it did.
        let mut known: BTreeSet<_> = (0..history.len())
            .filter(|i| history[*i].span.answered != NEVER)
            .collect();
        let mut left: Vec<_> = known.iter().copied().collect();
        while let Some(reader) = left.pop() {
            for (key, values) in reads(&history[reader]) {
                for value in values {
                    let writer = writers.get(&(key, *value));
                    let writer = *writer.ok_or(Violation::NeverAppended(reader, *value))?;
                    if known.insert(writer) {
                        left.push(writer);
                    }
                }
            }
        }
        let mut orders: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for (key, values) in known.iter().flat_map(|i| reads(&history[*i])) {
            let order = orders.entry(key).or_default();
            if values.len() > order.len() {
                *order = values.to_vec();
            }
        }
        for i in known.iter().copied() {
            if !sees_itself(&history[i]) {
                return Err(Violation::Internal(i));
            }
            for (key, values) in reads(&history[i]) {
                let distinct: BTreeSet<_> = values.iter().collect();
                if !orders[&key].starts_with(values) || distinct.len() < values.len() {
                    return Err(Violation::Incompatible(i, key));
                }
            }
        }
        for (key, order) in &orders {
            for n in 0..order.len() {
                let i = writers[&(*key, order[n])];
                let own = appends(&history[i..=i]).filter(|(_, k, _)| k == key);
                let before = order[..n].iter().rev();
                let before = before.take_while(|v| writers[&(*key, **v)] == i).count();
                if own.map(|(_, _, value)| value).nth(before) != Some(order[n]) {
                    return Err(Violation::Torn(i, *key));
                }
            }
        }
        Ok(Self {
            writers,
            orders,
            known,
        })
    }

    /// Who must come before whom: writers in the order of a list, a writer before who saw its value, and who did not see it
    /// before the writer.
    fn dependencies(&self, history: &[Transaction]) -> Vec<(usize, usize)> {
        let mut found = Vec::new();
        // What nobody saw came after all that somebody saw, in any order.
        let mut unseen: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        let orders = self.orders.iter();
        let seen: BTreeSet<_> = orders
            .flat_map(|(key, order)| order.iter().map(|value| (*key, *value)))
            .collect();
        for (i, key, value) in appends(history) {
            if !seen.contains(&(key, value)) {
                unseen.entry(key).or_default().push(i);
            }
        }
        let writer = |key, value: &u64| self.writers[&(key, *value)];
        let after = |key: u64, n: usize| -> Vec<usize> {
            match self.orders.get(&key).and_then(|order| order.get(n)) {
                Some(next) => vec![writer(key, next)],
                None => unseen.get(&key).cloned().unwrap_or_default(),
            }
        };
        for (key, order) in &self.orders {
            for (n, value) in order.iter().enumerate() {
                let next = after(*key, n + 1).into_iter();
                found.extend(next.map(|next| (writer(*key, value), next)));
            }
        }
        for (reader, transaction) in history.iter().enumerate() {
            for (key, values) in others_part(transaction) {
                found.extend(values.last().map(|last| (writer(key, last), reader)));
                found.extend(
                    after(key, values.len())
                        .into_iter()
                        .map(|next| (reader, next)),
                );
            }
        }
        found
    }
}

fn appends(history: &[Transaction]) -> impl Iterator<Item = (usize, u64, u64)> {
    history.iter().enumerate().flat_map(|(i, transaction)| {
        transaction
            .done
            .iter()
            .filter_map(move |action| match action {
                Action::Append { key, value } => Some((i, *key, *value)),
                Action::Read { .. } => None,
            })
    })
}

fn reads(transaction: &Transaction) -> impl Iterator<Item = (u64, &[u64])> {
    transaction.done.iter().filter_map(|action| match action {
        Action::Read { key, values } => Some((*key, values.as_slice())),
        Action::Append { .. } => None,
    })
}

/// What a transaction read of what others had written.
fn others_part(transaction: &Transaction) -> impl Iterator<Item = (u64, &[u64])> {
    let own = own_values(transaction);
    reads(transaction).map(move |(key, values)| {
        let others = values.iter().take_while(|v| !own.contains(&(key, **v)));
        (key, &values[..others.count()])
    })
}

/// One that was answered before another was asked for comes before it. A chain of moments stands between them, or there
/// would be an edge for each pair.
fn add_time(
    history: &[Transaction],
    happened: impl Fn(usize) -> bool,
    graph: &mut DiGraph<Option<usize>, ()>,
    nodes: &[NodeIndex],
) {
    let mut answers: Vec<_> = (0..history.len())
        .filter(|i| history[*i].span.answered != NEVER)
        .collect();
    answers.sort_by_key(|i| history[*i].span.answered);
    let mut moments: Vec<NodeIndex> = Vec::new();
    for i in &answers {
        let moment = graph.add_node(None);
        graph.update_edge(nodes[*i], moment, ());
        if let Some(before) = moments.last() {
            graph.update_edge(*before, moment, ());
        }
        moments.push(moment);
    }
    for (i, transaction) in history.iter().enumerate() {
        let over = answers.partition_point(|a| history[*a].span.precedes(transaction.span));
        if let Some(last) = over.checked_sub(1).filter(|_| happened(i)) {
            graph.update_edge(moments[last], nodes[i], ());
        }
    }
}
