//! Strangers: connections that never become anybody, kept at a number for a while. Only against this machine.
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::{ClientConfig, ClientConnection, RootCertStore};
use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep, timeout};

use crate::LoadError;
use crate::machine::{self, Usage};
use crate::measure::{self, Times};
use crate::output::Output;
use crate::pace;
use crate::sources::Sources;
use crate::stop::Stop;

/// Descriptors of one stranger.
const DESCRIPTORS: usize = 1;
/// Between two bytes of one who dribbles.
const DRIBBLE: Duration = Duration::from_millis(100);
/// How long a connection may take: one that was dropped before it was accepted is asked for again by the kernel after 1 s.
const CONNECT: Duration = Duration::from_secs(5);
/// What one sends who speaks no TLS.
const GARBAGE: &[u8] = b"GET / HTTP/1.0\r\n\r\n";

/// What a stranger does once it is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Says nothing.
    Silent,
    /// Sends a ClientHello byte by byte.
    Dribble,
    /// Sends a whole ClientHello, then nothing: the handshake stops behind the node's flight.
    Hello,
    /// Sends what is no TLS.
    Garbage,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Whom they bother, in 127.0.0.0/8.
    pub to: SocketAddr,
    /// What they do.
    pub manner: Manner,
    /// How many there are at once at most.
    pub count: usize,
    /// How many come each second at most.
    pub per_s: f64,
    /// How long.
    pub lasts: Duration,
    /// Where they come from.
    pub sources: Sources,
}

/// The line of each second, and at the end the last line.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Counts {
    /// Connected now.
    pub here: usize,
    /// Connections that were made.
    pub made: u64,
    /// Connections that nobody took.
    pub refused: u64,
    /// Connections that the other side ended.
    pub ended: u64,
}

#[derive(Serialize)]
struct Summary<'a> {
    #[serde(flatten)]
    counts: &'a Counts,
    /// How long those that the other side ended had been there.
    held: measure::Summary,
    /// How late the driver was to begin them.
    late: measure::Summary,
    #[serde(flatten)]
    usage: Usage,
}

/// Sends strangers for a while. What became of them.
pub async fn run(options: Options, output: &Output, mut stop: Stop) -> Result<Counts, LoadError> {
    match options.to {
        SocketAddr::V4(to) if to.ip().is_loopback() => {}
        to => return Err(LoadError::NotThisMachine(to)),
    }
    machine::require(options.count.saturating_mul(DESCRIPTORS))?;
    let hello = Arc::<[u8]>::from(client_hello()?);
    let mut due = pace::fire(options.per_s, None)?;
    let mut seconds = interval(Duration::from_secs(1));
    let mut stopped = std::pin::pin!(stop.heard(Some(options.lasts)));
    let (mut here, mut counts) = (JoinSet::new(), Counts::default());
    let (mut held, mut late) = (Times::new(), Times::new());
    let mut number = 0;
    loop {
        tokio::select! {
            () = &mut stopped => break,
            // One that finds no place does not come: the number is kept, not the rate.
            Some(due) = due.recv() => if here.len() < options.count {
                late.record(due.at.elapsed());
                here.spawn(bother(options, number, hello.clone()));
                number += 1;
            },
            Some(ended) = here.join_next() => match ended.map_err(io::Error::other)? {
                Ok(stayed) => {
                    held.record(stayed);
                    counts.made += 1;
                    counts.ended += 1;
                }
                Err(error) => {
                    tracing::debug!(%error, "a stranger was not let in");
                    counts.refused += 1;
                }
            },
            _ = seconds.tick() => output.line("second", &counts.with(here.len()))?,
        }
    }
    counts.made += here.len() as u64;
    let counts = counts.with(here.len());
    let summary = Summary {
        counts: &counts,
        held: held.summary(),
        late: late.summary(),
        usage: Usage::now()?,
    };
    output.line("summary", &summary)?;
    Ok(counts)
}

impl Counts {
    fn with(&self, here: usize) -> Self {
        Self {
            here,
            ..self.clone()
        }
    }
}

/// One stranger, until the other side ends it. How long it was there; an error is a connection that was not made.
async fn bother(options: Options, number: usize, hello: Arc<[u8]>) -> io::Result<Duration> {
    let socket = TcpSocket::new_v4()?;
    if let Some(source) = options.sources.of(number) {
        socket.bind((source, 0).into())?;
    }
    let mut stream = timeout(CONNECT, socket.connect(options.to)).await??;
    let began = Instant::now();
    let (mut reading, mut writing) = stream.split();
    let speak = async {
        match options.manner {
            Manner::Silent => {}
            Manner::Garbage => writing.write_all(GARBAGE).await?,
            Manner::Hello => writing.write_all(&hello).await?,
            Manner::Dribble => {
                for byte in &*hello {
                    writing.write_all(&[*byte]).await?;
                    sleep(DRIBBLE).await;
                }
            }
        }
        // It waits for what becomes of it.
        std::future::pending::<io::Result<()>>().await
    };
    let listen = async {
        let mut heard = [0; 4096];
        while reading.read(&mut heard).await? > 0 {}
        Ok(())
    };
    // A reset is an end like any other.
    let _end = tokio::select! {
        broken = speak => broken,
        ended = listen => ended,
    };
    Ok(began.elapsed())
}

/// What an endpoint's first flight looks like to whoever does not ask for a certificate of it.
fn client_hello() -> Result<Vec<u8>, LoadError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    config.alpn_protocols = vec![b"telerelay/1".to_vec()];
    let name = "relay-1"
        .try_into()
        .unwrap_or_else(|_| unreachable!("a DNS label"));
    let mut hello = Vec::new();
    ClientConnection::new(Arc::new(config), name)?.write_tls(&mut hello)?;
    Ok(hello)
}
