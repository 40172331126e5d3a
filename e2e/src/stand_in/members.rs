//! The ports of every pod that is played: which pod is meant, the address tells that was dialled.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Path, Query, State, connect_info::ConnectInfo},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response as HttpResponse},
    routing::{get, post},
    serve::IncomingStream,
};
use dqlite_wire::{Header, Request, proxy, proxy::ProxyHeader};
use node_api::{ADMIN_PORT, FRONT_PORT, INSTANCE_HEADER, LEADER_PORT, POD_HEADER, Status};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use super::{Pod, StandIn};
use crate::sweep::{fault::Fate, proxy::LATE};

const LONG_POLL: Duration = Duration::from_secs(25);

pub async fn serve(stand_in: Arc<StandIn>) -> anyhow::Result<()> {
    let bind = async |port: u16| TcpListener::bind(("0.0.0.0", port)).await;
    let admin = Router::new()
        .route("/v1/status", get(status))
        .route("/v1/{order}", post(order))
        .with_state(stand_in.clone())
        .into_make_service_with_connect_info::<Dialled>();
    let admin = axum::serve(bind(ADMIN_PORT).await?, admin);
    tokio::select! {
        ended = listen(bind(FRONT_PORT).await?, stand_in.clone()) => ended,
        ended = listen(bind(LEADER_PORT).await?, stand_in) => ended,
        ended = admin => Ok(ended?),
    }
}

async fn listen(listener: TcpListener, stand_in: Arc<StandIn>) -> anyhow::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        // One that is cut off dials again.
        tokio::spawn(converse(stream, stand_in.clone()));
    }
}

/// The dqlite protocol, as far as an operator speaks it.
async fn converse(mut stream: TcpStream, stand_in: Arc<StandIn>) -> anyhow::Result<()> {
    let ip = stream.local_addr()?.ip();
    let mut word = [0; 8];
    stream.read_exact(&mut word).await?;
    let mut meant = None;
    if proxy::is_proxy(&word) == Some(true) {
        let mut start = [0; 16];
        start[..8].copy_from_slice(&word);
        stream.read_exact(&mut start[8..]).await?;
        let mut fields = vec![0; ProxyHeader::fields_len(&start)?];
        stream.read_exact(&mut fields).await?;
        meant = Some(ProxyHeader::decode_fields(&fields)?.target);
        stream.read_exact(&mut word).await?;
    }
    loop {
        let mut head = [0; Header::LEN];
        stream.read_exact(&mut head).await?;
        let header = Header::decode(head);
        let mut body = vec![0; header.body_len(1 << 20)?];
        stream.read_exact(&mut body).await?;
        let request = Request::decode(&header, &body)?;
        let pod = stand_in
            .behind(ip)
            .filter(|p| meant.is_none_or(|id| id == p.id));
        let pod = pod.ok_or_else(|| anyhow::anyhow!("another member is meant"))?;
        let asks = matches!(request, Request::Leader | Request::Cluster { .. });
        let fate = match asks {
            true => Fate::Pass,
            false => stand_in.fate(&pod, &format!("{request:?} at")),
        };
        let here = stand_in.clone();
        let make = move || {
            let mut answer = None;
            here.cluster(&pod.cluster).send_if_modified(|cluster| {
                answer = Some(cluster.answer(pod.id, &request));
                !asks
            });
            here.seed(&pod.cluster);
            answer
        };
        let Some(answer) = fated(fate, make) else {
            anyhow::bail!("cut off");
        };
        let mut bytes = Vec::new();
        answer.iter().for_each(|answer| answer.encode(&mut bytes));
        stream.write_all(&bytes).await?;
    }
}

/// What a call gives, as its fate wants it; `None` when its connection ends without an answer.
fn fated<T>(fate: Fate, make: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    match fate {
        Fate::Pass => Some(make()),
        Fate::Cut | Fate::Refused(_) => None,
        Fate::Unanswered | Fate::Answered(_) => {
            make();
            None
        }
        Fate::Late => {
            tokio::spawn(async {
                tokio::time::sleep(LATE).await;
                make();
            });
            None
        }
    }
}

impl StandIn {
    /// Who was made a standby gets the log.
    fn seed(&self, cluster: &str) {
        let pods = self.pods.lock().unwrap();
        let ours = pods.values().filter(|p| p.cluster == cluster);
        let ours: Vec<_> = ours.map(|p| (p.id, p.disk.clone())).collect();
        drop(pods);
        self.cluster(cluster).send_if_modified(|cluster| {
            let before = cluster.revision;
            ours.iter().for_each(|(id, disk)| cluster.seeded(*id, disk));
            cluster.revision != before
        });
    }
}

/// The pod's address that a request was sent to.
#[derive(Clone)]
struct Dialled(std::net::IpAddr);

impl axum::extract::connect_info::Connected<IncomingStream<'_, TcpListener>> for Dialled {
    fn connect_info(stream: IncomingStream<'_, TcpListener>) -> Self {
        let ours = stream.io().local_addr();
        Self(ours.map_or(std::net::Ipv4Addr::UNSPECIFIED.into(), |a| a.ip()))
    }
}

#[derive(serde::Deserialize)]
struct After {
    after: Option<u64>,
}

type Asked = (State<Arc<StandIn>>, ConnectInfo<Dialled>, HeaderMap);

/// The pod that is asked, if it is the one that is meant.
fn meant((State(stand_in), ConnectInfo(Dialled(ip)), headers): &Asked) -> Option<Pod> {
    let uid = headers.get(POD_HEADER)?.to_str().ok()?;
    stand_in.pod(*ip).filter(|pod| pod.uid == uid)
}

async fn status(Query(After { after }): Query<After>, asked: Asked) -> HttpResponse {
    let Some(pod) = meant(&asked) else {
        return StatusCode::MISDIRECTED_REQUEST.into_response();
    };
    let cluster = asked.0.cluster(&pod.cluster);
    let mut changes = cluster.subscribe();
    if let Some(after) = after {
        let _ = timeout(LONG_POLL, changes.wait_for(|c| c.revision != after)).await;
    }
    let now = changes.borrow();
    let status = Status {
        revision: now.revision,
        instance: pod.uid.clone(),
        member: pod.member.clone(),
        id: pod.id,
        cluster: pod.cluster.clone(),
        pvc_uid: pod.disk.clone(),
        phase: now.phase(&pod.disk),
        engine: Some(now.view(pod.id)),
        ready: now.is_ready(pod.id, &pod.disk),
        used_bytes: 1 << 20,
        raft: now.raft(pod.id),
    };
    Json(status).into_response()
}

async fn order(Path(order): Path<String>, asked: Asked) -> HttpResponse {
    let told = asked.2.get(INSTANCE_HEADER).and_then(|i| i.to_str().ok());
    let Some(pod) = meant(&asked).filter(|pod| told == Some(&pod.uid)) else {
        return StatusCode::MISDIRECTED_REQUEST.into_response();
    };
    let stand_in = asked.0.0;
    let fate = stand_in.fate(&pod, &order);
    let make = move || {
        let mut done = Ok(());
        stand_in.cluster(&pod.cluster).send_modify(|cluster| {
            done = cluster.order(&order, pod.id, &pod.address, &pod.disk);
        });
        done
    };
    let Some(done) = fated(fate, make) else {
        // Ends this connection and nothing else, without a word.
        std::panic::resume_unwind(Box::new("cut off"));
    };
    match done {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(why) => (StatusCode::CONFLICT, why).into_response(),
    }
}
