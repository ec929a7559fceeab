//! What handshakes are compared with: a plain server of tokio-rustls with sockets, accept and the node's certificate checks, that
//! reads HELLO, writes a WELCOME and knows nothing else.
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use telerelay_leg::config::{Language, NodeConfigs};
use telerelay_leg::credentials::Credentials;
use telerelay_leg::socket::listen;
use telerelay_leg::trust::{Organisations, Pins};
use telerelay_mint as mint;
use telerelay_wire::bounded::List;
use telerelay_wire::ids::{Address, NodeAddress, NodeName};
use telerelay_wire::outer::{Frame, Welcome};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::LoadError;
use crate::machine::Usage;
use crate::output::Output;
use crate::stop::Stop;
use crate::tenant::{Cluster, Tenant};

/// Its name in its certificate.
const NAME: &str = "reference";

/// How long those that are here when the run ends may take to leave.
const LEAVING: Duration = Duration::from_secs(2);

/// Somebody can dial it.
#[derive(Serialize)]
struct Listening {
    address: SocketAddr,
}

/// The last line.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Handshakes that came to HELLO, and whose end was in order.
    pub done: u64,
    /// Those that broke off.
    pub failed: u64,
    #[serde(flatten)]
    usage: Usage,
}

/// Listens on a port of the loopback interface, writes where and how it is known into `cluster`, and serves until the run ends.
pub async fn run(
    tenant: &Tenant,
    cluster: &Path,
    lasts: Option<Duration>,
    output: &Output,
    mut stop: Stop,
) -> Result<Summary, LoadError> {
    let name: NodeName = NAME.parse().unwrap_or_else(|_| unreachable!("a DNS label"));
    let minted = mint::Cluster::new();
    let acceptor = acceptor(tenant, &minted.node(&name))?;
    let welcome = Arc::<[u8]>::from(welcome(&name)?);
    let listener = TcpListener::from_std(listen(([127, 0, 0, 1], 0).into())?)?;
    let address = listener.local_addr()?;
    let told = Cluster {
        nodes: vec![node_at(name, address)],
        pins: Pins([minted.pin(); 2]),
    };
    told.write(cluster)?;
    output.line("listening", &Listening { address })?;

    let mut running = JoinSet::new();
    let mut tally = Tally::default();
    let mut stopped = std::pin::pin!(stop.heard(lasts));
    loop {
        tokio::select! {
            () = &mut stopped => break,
            arrived = listener.accept() => {
                let (socket, _) = arrived?;
                running.spawn(serve(socket, acceptor.clone(), welcome.clone()));
            }
            Some(ended) = running.join_next() => tally.count(ended)?,
        }
    }
    let usage = Usage::now()?;
    let leaving = async {
        while let Some(ended) = running.join_next().await {
            tally.count(ended)?;
        }
        Ok::<_, io::Error>(())
    };
    // Whoever does not leave is none of those that are counted.
    timeout(LEAVING, leaving).await.unwrap_or(Ok(()))?;
    let summary = Summary {
        done: tally.done,
        failed: tally.failed,
        usage,
    };
    output.line("summary", &summary)?;
    Ok(summary)
}

/// What handshakes came to.
#[derive(Default)]
struct Tally {
    done: u64,
    failed: u64,
}

impl Tally {
    fn count(&mut self, ended: Result<io::Result<()>, JoinError>) -> io::Result<()> {
        match ended.map_err(io::Error::other)? {
            Ok(()) => self.done += 1,
            Err(error) => {
                tracing::debug!(%error, "a handshake did not come to its end");
                self.failed += 1;
            }
        }
        Ok(())
    }
}

/// With the node's own checks of certificates.
fn acceptor(tenant: &Tenant, minted: &mint::Minted) -> Result<TlsAcceptor, LoadError> {
    let folder = tempfile::tempdir()?;
    let (chain, key) = minted.write(folder.path(), NAME);
    let organisations = Arc::new(Organisations::default());
    organisations.replace([Arc::new(tenant.root()?)]);
    let configs = NodeConfigs::new(&Credentials::read(&chain, &key)?, &organisations)?;
    Ok(configs.of(Language::Telerelay).into())
}

fn welcome(node: &NodeName) -> io::Result<Vec<u8>> {
    let welcome = Welcome {
        version: 1,
        features: List::default(),
        node: node.clone(),
        keepalive: 45,
        nodes_version: 0,
        return_window: 1,
        banner: None,
    };
    let mut bytes = Vec::new();
    Frame::from(welcome)
        .encode(&mut bytes)
        .map_err(io::Error::other)?;
    Ok(bytes)
}

fn node_at(name: NodeName, address: SocketAddr) -> NodeAddress {
    let address = Address::try_from(address.to_string());
    let addresses = address
        .ok()
        .and_then(|address| vec![address].try_into().ok());
    NodeAddress {
        name,
        addresses: addresses.unwrap_or_else(|| unreachable!("one address of this machine")),
    }
}

async fn serve(socket: TcpStream, acceptor: TlsAcceptor, welcome: Arc<[u8]>) -> io::Result<()> {
    let mut stream = acceptor.accept(socket).await?;
    let mut hello = [0; 1024];
    if stream.read(&mut hello).await? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    stream.write_all(&welcome).await?;
    stream.flush().await?;
    // Until the other end has gone, as it does in order.
    while stream.read(&mut hello).await? > 0 {}
    Ok(())
}
