//! The pod of a member that starts anew has another address, and a name server may tell the old one for half
//! a minute more: by then a new leader that cannot reach this member may lack the majority. So a member that
//! starts greets the others; they call back to see that it is there, and make those known to each other who
//! started lately (docs/adr/0008).

use std::{sync::Arc, time::Duration};

use tokio::{task::JoinSet, time::sleep};

use crate::member::Member;

/// Seconds between two greetings: whoever cannot be reached, or cannot call back yet, may in a while.
const AGAIN: [u64; 6] = [1, 1, 2, 4, 8, 16];

/// Greets every other member some times in its first half minute.
pub async fn greet_all(member: Arc<Member>) {
    for pause in AGAIN {
        sleep(Duration::from_secs(pause)).await;
        let view = member.status().engine.unwrap_or_default();
        let others = view.members.iter().filter(|m| m.id != member.settings.id);
        let greetings: JoinSet<_> = others
            .map(|other| {
                let (peers, other) = (Arc::clone(&member.peers), other.clone());
                async move { peers.greet(&other.address, other.id).await }
            })
            .collect();
        greetings.join_all().await;
    }
}
