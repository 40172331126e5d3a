//! Stands between one operator and the API server: confines it to a namespace, has the meddler judge what it wants
//! to change, and writes down what rights it used.

use std::{
    collections::{BTreeSet, HashMap},
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::body::{Body, Bytes};
use futures::{StreamExt, TryStreamExt, stream};
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpListener;

use super::{
    fault::Fate,
    meddler::{Meddler, Weather},
    rights::Right,
};

/// When a call that is late arrives.
pub const LATE: Duration = Duration::from_secs(3);
/// As whom operators act, so that the API server refuses what they have no right to.
const OPERATOR: &str = "system:serviceaccount:dqlite-system:dqlite-operator";

pub struct Proxy {
    /// Of an administrator; asks once.
    pub client: kube::Client,
    pub namespace: String,
    pub meddler: Arc<Meddler>,
    /// Whether this member's disk must not be deleted now.
    pub is_needed: Box<dyn Fn(&str) -> bool + Send + Sync>,
    pub used: Mutex<BTreeSet<Right>>,
    /// Answers to lists of whole kinds, the first of each.
    pub lists: Mutex<HashMap<String, Bytes>>,
}

type Answer = io::Result<Response<Body>>;

/// Ends the connection without an answer.
fn cut() -> Answer {
    Err(io::ErrorKind::ConnectionAborted.into())
}

impl Proxy {
    pub async fn listen(self: Arc<Self>, listener: TcpListener) {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                return;
            };
            let proxy = Arc::clone(&self);
            tokio::spawn(async move {
                let serve = service_fn(|request| proxy.pass(request));
                let mut weather = proxy.meddler.weather();
                tokio::select! {
                    // What is cut or held back ends in an error.
                    _ = http1::Builder::new().serve_connection(TokioIo::new(stream), serve) => {}
                    _ = weather.wait_for(|w| *w == Weather::Away) => {}
                }
            });
        }
    }

    async fn pass(self: &Arc<Self>, request: Request<Incoming>) -> Answer {
        if *self.meddler.weather().borrow() == Weather::Away {
            return cut();
        }
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        let path = parts.uri.path_and_query().map_or("/", |p| p.as_str());
        let right = Right::of(&parts.method, path);
        let lease = right.resource == "leases";
        let (path, whole) = confined(path, &self.namespace);
        let mut onward = Request::builder().method(parts.method.clone()).uri(path);
        for name in [header::ACCEPT, header::CONTENT_TYPE] {
            if let Some(value) = parts.headers.get(&name) {
                onward = onward.header(name, value);
            }
        }
        // Its lease is in a namespace of its own, where the chart gives it no rights.
        if !lease {
            onward = onward.header("impersonate-user", OPERATOR);
        }
        let onward = onward
            .body(kube::client::Body::from(body.to_vec()))
            .unwrap();
        let is_watch = right.verb == "watch";
        if !lease && parts.method == Method::GET {
            self.used.lock().unwrap().insert(right.clone());
        }
        if lease || parts.method == Method::GET {
            return match (whole, is_watch) {
                (true, true) => self.watch(onward).await,
                (true, false) => self.list(onward).await,
                (false, _) => self.forward(onward).await,
            };
        }
        self.change(&right, onward).await
    }

    async fn change(
        self: &Arc<Self>,
        right: &Right,
        onward: Request<kube::client::Body>,
    ) -> Answer {
        let path = onward.uri().path().to_owned();
        let deletes = (right.verb == "delete" && right.resource == "persistentvolumeclaims")
            .then(|| path.rsplit('/').next().unwrap_or_default().to_owned());
        match self.meddler.comes(&format!("{} {path}", onward.method())) {
            Fate::Pass => {
                self.used.lock().unwrap().insert(right.clone());
                self.make(onward, deletes).await
            }
            Fate::Cut => cut(),
            Fate::Unanswered => {
                let _ = self.make(onward, deletes).await;
                cut()
            }
            Fate::Late => {
                let proxy = Arc::clone(self);
                tokio::spawn(async move {
                    tokio::time::sleep(LATE).await;
                    let _ = proxy.make(onward, deletes).await;
                });
                cut()
            }
            Fate::Answered(status) => {
                let _ = self.make(onward, deletes).await;
                Ok(refusal(status))
            }
            Fate::Refused(status) => Ok(refusal(status)),
        }
    }

    async fn make(&self, onward: Request<kube::client::Body>, deletes: Option<String>) -> Answer {
        let needed = deletes
            .as_ref()
            .is_some_and(|claim| (self.is_needed)(claim));
        let answer = self.forward(onward).await?;
        if let Some(claim) = deletes.filter(|_| answer.status().is_success()) {
            if needed {
                let harm = format!("the disk of {claim}, which is a member, was deleted");
                self.meddler.harm(harm);
            }
            self.meddler.deleted(&claim);
        }
        Ok(answer)
    }

    async fn forward(&self, onward: Request<kube::client::Body>) -> Answer {
        let what = format!("{} {}", onward.method(), onward.uri());
        let answer = self.client.send(onward).await.map_err(io::Error::other)?;
        if answer.status() == StatusCode::FORBIDDEN {
            self.meddler.harm(format!("{what}: forbidden"));
        }
        let (parts, body) = answer.into_parts();
        let mut passed = Response::builder().status(parts.status);
        for name in [header::CONTENT_TYPE, header::RETRY_AFTER] {
            if let Some(value) = parts.headers.get(&name) {
                passed = passed.header(name, value);
            }
        }
        let body = Body::from_stream(body.into_data_stream());
        Ok(passed.body(body).unwrap())
    }

    /// The list of a whole kind; while all is frozen, as it was when it was first asked for.
    async fn list(&self, onward: Request<kube::client::Body>) -> Answer {
        let accept = onward.headers().get(header::ACCEPT).cloned();
        let path = onward.uri().path();
        let which = format!("{path} {accept:?}");
        let old = self.lists.lock().unwrap().get(&which).cloned();
        let frozen = *self.meddler.weather().borrow() == Weather::Frozen;
        if let Some(old) = old.filter(|_| frozen) {
            let answer = Response::builder().header(header::CONTENT_TYPE, "application/json");
            return Ok(answer.body(old.into()).unwrap());
        }
        if *self.meddler.weather().borrow() == Weather::Gone {
            return Ok(refusal(410));
        }
        let (parts, body) = self.forward(onward).await?.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        if parts.status.is_success() {
            let mut lists = self.lists.lock().unwrap();
            lists.entry(which).or_insert_with(|| body.clone());
        }
        Ok(Response::from_parts(parts, body.into()))
    }

    /// Events, line by line, as the weather lets them through. A watch that was frozen begins anew.
    async fn watch(&self, onward: Request<kube::client::Body>) -> Answer {
        let weather = self.meddler.weather();
        if *weather.borrow() == Weather::Frozen {
            let nothing = stream::once(thawed(weather)).map(|()| Err::<Bytes, _>(aborted()));
            return Ok(Response::new(Body::from_stream(nothing)));
        }
        if *weather.borrow() == Weather::Gone {
            return Ok(refusal(410));
        }
        let (parts, body) = self.forward(onward).await?.into_parts();
        let lines = Lines {
            chunks: TryStreamExt::map_err(body.into_data_stream(), io::Error::other).boxed(),
            rest: Vec::new(),
        };
        let events = stream::try_unfold((lines, weather), async |(mut lines, weather)| {
            loop {
                let Some(line) = lines.next().await? else {
                    return Ok(None);
                };
                let now = *weather.borrow();
                match now {
                    Weather::Deaf => {}
                    Weather::Frozen => {
                        thawed(weather).await;
                        return Err(aborted());
                    }
                    Weather::Gone => return Err(aborted()),
                    _ => return Ok(Some((line, (lines, weather)))),
                }
            }
        });
        Ok(Response::from_parts(parts, Body::from_stream(events)))
    }
}

fn aborted() -> io::Error {
    io::ErrorKind::ConnectionAborted.into()
}

async fn thawed(mut weather: tokio::sync::watch::Receiver<Weather>) {
    // The sender lives as long as the meddler does; without it nobody waits.
    let _ = weather.wait_for(|w| *w != Weather::Frozen).await;
}

struct Lines {
    chunks: stream::BoxStream<'static, io::Result<Bytes>>,
    rest: Vec<u8>,
}

impl Lines {
    /// The next line with its end; `None` at the stream's.
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            if let Some(end) = self.rest.iter().position(|b| *b == b'\n') {
                let rest = self.rest.split_off(end + 1);
                return Ok(Some(std::mem::replace(&mut self.rest, rest).into()));
            }
            match self.chunks.next().await {
                Some(chunk) => self.rest.extend_from_slice(&chunk?),
                None => return Ok(None),
            }
        }
    }
}

/// The path within the namespace, and whether all namespaces were meant.
fn confined(path: &str, namespace: &str) -> (String, bool) {
    const WATCHED: [&str; 5] = [
        "/api/v1/configmaps",
        "/api/v1/persistentvolumeclaims",
        "/api/v1/pods",
        "/apis/apps/v1/statefulsets",
        "/apis/dqlite.io/v1alpha1/dqliteclusters",
    ];
    let bare = path.split('?').next().unwrap_or_default();
    if !WATCHED.contains(&bare) {
        return (path.to_owned(), false);
    }
    let (group, kind) = bare.rsplit_once('/').unwrap_or_default();
    let query = &path[bare.len()..];
    (
        format!("{group}/namespaces/{namespace}/{kind}{query}"),
        true,
    )
}

fn refusal(status: u16) -> Response<Body> {
    let reason = match status {
        409 => "Conflict",
        410 => "Expired",
        429 => "TooManyRequests",
        _ => "InternalError",
    };
    let said = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status, "reason": reason,
        "message": "refused by a fault of the sweep",
    });
    let mut answer = Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "application/json");
    if status == 429 {
        answer = answer.header(header::RETRY_AFTER, "1");
    }
    answer.body(said.to_string().into()).unwrap()
}
