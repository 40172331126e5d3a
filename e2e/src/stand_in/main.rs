//! `stand-in NODE-ADDRESS FIRST-POD-ADDRESS`: see `stand_in/mod.rs`. Run by `e2e/local/cluster.sh NAME stand-in`;
//! ends when its standard input does, which is when whoever started it ends.

use tokio::io::AsyncReadExt;

use dqlite_e2e::stand_in::StandIn;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut arguments = std::env::args().skip(1);
    let (Some(node), Some(first)) = (arguments.next(), arguments.next()) else {
        anyhow::bail!("stand-in NODE-ADDRESS FIRST-POD-ADDRESS");
    };
    let (mut input, mut nothing) = (tokio::io::stdin(), Vec::new());
    tokio::select! {
        ended = std::sync::Arc::new(StandIn::default()).play(node.parse()?, first.parse()?) => ended,
        ended = input.read_to_end(&mut nothing) => Ok(ended.map(drop)?),
    }
}
