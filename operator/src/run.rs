//! Starts everything, and ends everything when one part ends.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use kube::{
    client::{Body, ClientBuilder},
    runtime::events::{Recorder, Reporter},
};
use tokio::{net::TcpListener, signal::unix, sync::Semaphore};
use tokio_util::sync::CancellationToken;
use tower::util::{MapRequestLayer, MapResponseLayer};

use crate::{
    controller::{self, Context},
    faults,
    hints::Hints,
    lease::{Election, Lease},
    metrics::Metrics,
    server::{self, Server},
};

/// How the operator runs. Every flag has an environment variable, for the chart.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Image of members whose spec names none
    #[arg(long, env = "NODE_IMAGE")]
    node_image: String,
    /// Namespace of the operator; its Lease is here
    #[arg(long, env = "POD_NAMESPACE", default_value = "default")]
    namespace: String,
    /// Name of this operator among several
    #[arg(long, env = "POD_NAME", default_value = "dqlite-operator")]
    name: String,
    /// Address of /healthz, /readyz and /metrics
    #[arg(long, env = "LISTEN", default_value = "[::]:8080")]
    listen: String,
    /// Lets tests end the process in the midst of things
    #[arg(long, env = "DQLITE_FAULTS")]
    faults: bool,
}

pub async fn run(args: Args) -> anyhow::Result<()> {
    // Two providers may be linked; rustls takes none by itself then.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env()
                .unwrap_or_else(|_| "info,kube=warn".into()),
        )
        .json()
        .init();
    let config = kube::Config::infer()
        .await
        .context("no access to a Kubernetes API server")?;
    let mut impatient = config.clone();
    // A renewal that is retried for minutes comes too late.
    impatient.default_retry = false;
    impatient.read_timeout = Some(Duration::from_secs(5));
    let election = Election {
        client: kube::Client::try_from(impatient)?,
        namespace: args.namespace,
        name: "dqlite-operator".into(),
        // A restarted container keeps its pod's name, but not what it knew.
        me: format!("{}_{:08x}", args.name, rand::random::<u32>()),
    };
    let metrics = Metrics::new();
    let counted = Arc::clone(&metrics);
    let asked = MapRequestLayer::new(move |request: http::Request<Body>| {
        counted.asks(request.method().as_str());
        request
    });
    let answered = MapResponseLayer::new(|answer| {
        faults::answered();
        answer
    });
    let client = ClientBuilder::try_from(config)?
        .with_layer(&answered)
        .with_layer(&asked)
        .build();
    let reporter = Reporter {
        controller: "dqlite-operator".into(),
        instance: Some(args.name.clone()),
    };
    let lease = Lease::new();
    let context = Arc::new(Context {
        recorder: Recorder::new(client.clone(), reporter),
        client,
        http: reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(1))
            .no_proxy()
            .build()?,
        lease: lease.clone(),
        node_image: args.node_image,
        applied: controller::Applied::default(),
        backoff: controller::Backoff::default(),
        hints: Hints::new(),
        changes: Arc::default(),
        kube_nodes: Arc::default(),
        introductions: Arc::new(Semaphore::new(controller::INTRODUCTIONS)),
        metrics: metrics.clone(),
    });

    let listener = TcpListener::bind(&args.listen)
        .await
        .with_context(|| format!("cannot listen on {}", args.listen))?;
    let faults = args.faults.then(faults::router).unwrap_or_default();
    let http = axum::serve(
        listener,
        server::router(Server {
            lease: lease.clone(),
            metrics,
        })
        .merge(faults),
    );
    let (stop, won) = (CancellationToken::new(), CancellationToken::new());
    let mut term = unix::signal(unix::SignalKind::terminate())?;
    let mut interrupt = unix::signal(unix::SignalKind::interrupt())?;

    let elect = lease.run(&election, stop.clone(), won.clone());
    let work = async {
        won.cancelled().await;
        tracing::info!("holds the lease, starts to work");
        controller::run(context, stop.clone()).await;
    };
    let ask_to_stop = async {
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("asked to stop");
        stop.cancel();
        // `elect` returns once the lease is given back. A pass under way ends where it is: every step
        // may be cut short anywhere.
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = elect => {}
        () = work => {}
        () = ask_to_stop => {}
        ended = http => ended.context("the HTTP port ended")?,
    }
    anyhow::ensure!(
        stop.is_cancelled(),
        "a part ended that should go on; the process ends with it"
    );
    Ok(())
}
