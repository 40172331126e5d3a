//! The leader port: a client that connects here speaks to today's leader. One Service name is enough,
//! and a fail-over needs no operator and no change of endpoints.
//!
//! At the leader the client is served; elsewhere the connection is passed on to the leader's own
//! leader port, one hop and never two. It ends when leadership moves, as a client expects.

use std::{io, sync::Arc, time::Duration};

use dqlite_wire::{PROTOCOL_VERSION, proxy::Caller};
use node_api::{LEADER_PORT, Phase, Role, View};
use tokio::{
    io::{AsyncWriteExt, copy_buf},
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::{
    front::{Front, Peer},
    member::Member,
};

/// A client's connection to a leader that went away without a word must not hang.
const CONNECT: Duration = Duration::from_secs(1);

pub async fn serve(front: &Arc<Front>, peer: Peer) -> io::Result<()> {
    let member = &front.member;
    let forwarded = peer.caller == Some(Caller::Forwarded);
    // After that the connection ends: one who tries again may come to a member that knows more.
    let patience = CONNECT + member.settings.election();
    match timeout(patience, route(member, forwarded)).await?? {
        Route::Here => {
            let lost = leadership_lost(member);
            let address = member.settings.leader_address.clone();
            tokio::select! {
                served = front.serve_here(peer, &address) => served,
                () = lost => Ok(()),
            }
        }
        Route::To(leader, stream) => {
            tokio::select! {
                done = splice(peer, stream) => done,
                () = another_leads(member, leader) => Ok(()),
            }
        }
    }
}

enum Route {
    Here,
    To(u64, TcpStream),
}

/// Finds the leader; while there is none, or it is being left, tries again. A member that takes no part
/// knows nobody, and says so at once.
async fn route(member: &Member, forwarded: bool) -> io::Result<Route> {
    let me = member.settings.id;
    loop {
        let status = member.status();
        if !matches!(status.phase, Phase::Open | Phase::Seeded) {
            return Err(io::Error::other("this member serves nobody yet"));
        }
        let view = status.engine.unwrap_or_default();
        let leader = match (view.leader, view.role_of(me)) {
            (Some(leader), _) => Some(leader),
            (None, Some(Role::Voter) | None) => None,
            // Only voters know; a member without a vote asks one.
            (None, Some(_)) => ask_voters(member, &view).await,
        };
        if leader == Some(me) {
            return Ok(Route::Here);
        }
        if forwarded {
            return Err(io::Error::other("passed on to a member that does not lead"));
        }
        if let Some(leader) = view.members.iter().find(|m| Some(m.id) == leader)
            && let Ok(Ok(stream)) = timeout(CONNECT, pass_on(member, leader)).await
        {
            return Ok(Route::To(leader.id, stream));
        }
        sleep(Duration::from_millis(20)).await;
    }
}

async fn ask_voters(member: &Member, view: &View) -> Option<u64> {
    for voter in view.members.iter().filter(|m| m.role == Role::Voter) {
        if let Ok(connection) = member.peers.ask(&voter.address, voter.id).await
            && let Ok(Some(leader)) = connection.leader().await
        {
            return Some(leader.id);
        }
    }
    None
}

async fn pass_on(member: &Member, leader: &node_api::Member) -> io::Result<TcpStream> {
    let host = leader
        .address
        .rsplit_once(':')
        .map_or(leader.address.as_str(), |(host, _)| host);
    let address = format!("{host}:{LEADER_PORT}");
    let mut stream = member
        .peers
        .open(&address, leader.id, Caller::Forwarded)
        .await?;
    stream.write_all(&PROTOCOL_VERSION.to_le_bytes()).await?;
    Ok(stream)
}

async fn splice(mut peer: Peer, leader: TcpStream) -> io::Result<()> {
    let (from_leader, mut to_leader) = leader.into_split();
    let mut from_leader = tokio::io::BufReader::new(from_leader);
    tokio::select! {
        done = copy_buf(&mut peer.read, &mut to_leader) => done.map(|_| ()),
        done = copy_buf(&mut from_leader, &mut peer.write) => done.map(|_| ()),
    }
}

/// This member hears of another leader. That it hears of none says nothing: it may be cut off itself.
async fn another_leads(member: &Member, leader: u64) {
    let moved = |s: &node_api::Status| {
        s.engine
            .as_ref()
            .and_then(|v| v.leader)
            .is_some_and(|named| named != leader)
    };
    // The sender lives as long as the member.
    let _ = member.watch().wait_for(moved).await;
}

async fn leadership_lost(member: &Member) {
    let me = member.settings.id;
    let mut status = member.watch();
    let lost = |s: &node_api::Status| s.engine.as_ref().is_some_and(|v| v.leader != Some(me));
    // The sender lives as long as the member.
    let _ = status.wait_for(lost).await;
}
