//! The process of one dqlite member: PID 1 of the container.

use std::process::ExitCode;

use clap::Parser;
use dqlite_node::Settings;

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into()),
        )
        .json()
        .init();
    let settings = Settings::parse();
    if std::env::var_os("UV_THREADPOOL_SIZE").is_none() {
        tracing::warn!("UV_THREADPOOL_SIZE is unset: with 4 threads, dead peers can stall writes");
    }
    // The engine has one thread and more to do: with as many here, messages wake more threads than they need. Never
    // one alone: a long statement that is looked through must not hold Raft's messages up.
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads((processors / 2).max(2))
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(e) => {
            tracing::error!("cannot start: {e}");
            return ExitCode::FAILURE;
        }
    };
    // Beside the rest on a worker, or each look at the engine would wake another thread.
    let ended = runtime.block_on(runtime.spawn(dqlite_node::run(settings)));
    let ended = ended.unwrap_or_else(|panicked| Err(panicked.into()));
    // A thread that looks a name up may hang on; nothing waits for it.
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            tracing::error!("{e:#}");
            ExitCode::FAILURE
        }
    }
}
