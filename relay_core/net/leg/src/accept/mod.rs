//! A node's side of a new connection: ClientHello, choice of the language, handshake, identity (PROTOCOL.md §1.1).
#[cfg(test)]
mod tests;

use std::io;
use std::mem::MaybeUninit;
use std::time::Duration;

use rustls::server::Acceptor;
use socket2::SockRef;
use telerelay_wire::limits;
use telerelay_wire::limits::{CLIENT_HELLO, CLIENT_HELLO_BYTES, HANDSHAKE};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::config::{Language, NodeConfigs};
use crate::handshake::{self, HandshakeError};
use crate::tls::{Tls, TlsError};
use crate::trust::{Identity, Refusal};

/// The alert of a ClientHello that offers no language of ours: fatal, `no_application_protocol` (RFC 7301 §3.2), in a plain record.
const NO_LANGUAGE: [u8; 7] = [21, 3, 3, 0, 2, 2, 120];

/// The alert of a ClientHello that the node has no time for: fatal, `internal_error` (PROTOCOL.md §1.3), in a plain record.
const BUSY: [u8; 7] = [21, 3, 3, 0, 2, 2, 80];

/// A connection whose handshake is over.
pub struct Accepted {
    /// Outer TLS. What came behind the handshake is in its buffer.
    pub tls: Tls,
    /// What the connection is for.
    pub language: Language,
    /// Who is there; without a certificate, nobody that we know (API only).
    pub identity: Option<Identity>,
}

/// Why a connection was not let in. Each has a name for counters; none is worth an audit record.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// The ClientHello was not there in time.
    #[error("no ClientHello within {} s", CLIENT_HELLO.as_secs())]
    HelloLate,
    /// The handshake took too long.
    #[error("no handshake within {} s", HANDSHAKE.as_secs())]
    HandshakeLate,
    /// It left.
    #[error("the connection ended in the handshake: {0}")]
    Left(#[from] io::Error),
    /// More handshakes were asked for than the node has time for.
    #[error("the node is busy")]
    Busy,
    /// What came is no ClientHello.
    #[error("no ClientHello: {0}")]
    NotTls(rustls::Error),
    /// Neither `telerelay/1` nor `http/1.1` was offered.
    #[error("no application protocol in common")]
    NoLanguage,
    /// Its certificates are not believed.
    #[error(transparent)]
    Refused(Refusal),
    /// `telerelay/1` without a certificate.
    #[error("no certificate")]
    NoCertificate,
    /// TLS could not be agreed on, or the other side refused it.
    #[error(transparent)]
    Tls(TlsError),
}

impl AcceptError {
    /// A stable name for counters.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::HelloLate => "hello_late",
            Self::HandshakeLate => "handshake_late",
            Self::Left(_) => "left",
            Self::Busy => "busy",
            Self::NotTls(_) => "not_tls",
            Self::NoLanguage => "no_language",
            Self::Refused(Refusal::NotAdmitted) => "not_admitted",
            Self::Refused(Refusal::Expired | Refusal::NotYetValid) => "expired",
            Self::Refused(_) => "certificate",
            Self::NoCertificate => "no_certificate",
            Self::Tls(_) => "tls",
        }
    }

    /// Every name.
    pub const NAMES: [&'static str; 11] = [
        "hello_late",
        "handshake_late",
        "left",
        "busy",
        "not_tls",
        "no_language",
        "not_admitted",
        "expired",
        "certificate",
        "no_certificate",
        "tls",
    ];
}

/// Takes a new connection through its handshake, within [`CLIENT_HELLO`] and [`HANDSHAKE`]. One that is refused reads why,
/// as an alert. `turn` is waited for between ClientHello and the first cryptography: whether the handshake may begin. Whoever
/// left meanwhile costs none.
pub async fn accept(
    stream: &mut TcpStream,
    configs: &NodeConfigs,
    turn: impl Future<Output = bool>,
) -> Result<Accepted, AcceptError> {
    let accepted = match timeout(CLIENT_HELLO, client_hello(stream)).await {
        Ok(Ok((language, hello))) => {
            if !turn.await {
                turn_away(stream, &BUSY, AcceptError::Busy).await
            } else if has_left(stream) {
                Err(io::Error::from(io::ErrorKind::UnexpectedEof).into())
            } else {
                greet(stream, configs, language, &hello).await
            }
        }
        Ok(Err(error)) => Err(error),
        Err(_) => return Err(AcceptError::HelloLate),
    };
    if let Err(error) = &accepted
        && !matches!(error, AcceptError::Left(_) | AcceptError::HandshakeLate)
    {
        linger(stream, limits::REFUSED_LINGER).await;
    }
    accepted
}

async fn greet(
    stream: &mut TcpStream,
    configs: &NodeConfigs,
    language: Language,
    hello: &[u8],
) -> Result<Accepted, AcceptError> {
    let mut tls = Tls::server(configs.of(language)).map_err(AcceptError::Tls)?;
    tls.read_buffer(hello.len()).extend_from_slice(hello);
    match timeout(HANDSHAKE, handshake::run(stream, &mut tls)).await {
        Err(_) => return Err(AcceptError::HandshakeLate),
        Ok(Err(error)) => return Err(reason(error)),
        Ok(Ok(())) => {}
    }
    let identity = match tls.peer_chain() {
        [] => None,
        chain => Some(Identity::of(chain).map_err(AcceptError::Refused)?),
    };
    Ok(Accepted {
        tls,
        language,
        identity,
    })
}

/// Whether the other side has given up while it waited for its turn: a node that is late spends its processor on those who
/// still wait, or it would never be on time again.
fn has_left(stream: &TcpStream) -> bool {
    match SockRef::from(stream).peek(&mut [MaybeUninit::uninit()]) {
        Ok(length) => length == 0,
        Err(error) => error.kind() != io::ErrorKind::WouldBlock,
    }
}

/// Sends an alert.
async fn turn_away<T>(
    stream: &mut TcpStream,
    alert: &[u8],
    error: AcceptError,
) -> Result<T, AcceptError> {
    stream.write_all(alert).await?;
    Err(error)
}

fn reason(error: HandshakeError) -> AcceptError {
    match error {
        HandshakeError::Stream(error) => AcceptError::Left(error),
        HandshakeError::Tls(TlsError::Peer(rustls::Error::NoCertificatesPresented)) => {
            AcceptError::NoCertificate
        }
        HandshakeError::Tls(error) => match error {
            TlsError::Peer(ref tls) => {
                Refusal::of(tls).map_or(AcceptError::Tls(error), AcceptError::Refused)
            }
            other => AcceptError::Tls(other),
        },
    }
}

/// Reads until the ClientHello is whole: what language it wants, and every byte that was read, to be given to TLS again.
/// rustls' `Acceptor` understands a ClientHello before a configuration is chosen, but goes on with buffers that a ready
/// connection should not hold; so it sees a copy only.
async fn client_hello(stream: &mut TcpStream) -> Result<(Language, Vec<u8>), AcceptError> {
    let mut acceptor = Acceptor::default();
    let mut hello = Vec::new();
    loop {
        // Nothing is kept for a stranger who says nothing.
        stream.readable().await?;
        let before = hello.len();
        hello.reserve_exact(CLIENT_HELLO_BYTES - before);
        match stream.try_read_buf(&mut hello) {
            Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error.into()),
        }
        acceptor.read_tls(&mut &hello[before..])?;
        match acceptor.accept() {
            Ok(Some(accepted)) => {
                if let Some(language) = language(&accepted) {
                    return Ok((language, hello));
                }
                return turn_away(stream, &NO_LANGUAGE, AcceptError::NoLanguage).await;
            }
            Ok(None) if hello.len() >= CLIENT_HELLO_BYTES => {
                return Err(AcceptError::NotTls(rustls::Error::General(
                    "longer than a ClientHello".to_owned(),
                )));
            }
            Ok(None) => {}
            Err((error, mut alert)) => {
                let mut bytes = Vec::new();
                alert.write_all(&mut bytes)?;
                return turn_away(stream, &bytes, AcceptError::NotTls(error)).await;
            }
        }
    }
}

fn language(accepted: &rustls::server::Accepted) -> Option<Language> {
    let hello = accepted.client_hello();
    let offered: Vec<&[u8]> = hello.alpn()?.collect();
    [Language::Telerelay, Language::Http]
        .into_iter()
        .find(|language| offered.contains(&language.alpn()))
}

/// Ends a connection so that the other side reads what was sent last: a socket that is closed while bytes arrive is reset,
/// and a reset throws away what the other side has not read yet.
pub async fn linger(stream: &mut TcpStream, at_most: Duration) {
    let drain = async {
        stream.shutdown().await?;
        let mut scratch = [0; 1024];
        while stream.read(&mut scratch).await? > 0 {}
        Ok::<_, io::Error>(())
    };
    // Late or broken: either way there is nobody left to be kind to.
    let _ended = timeout(at_most, drain).await;
}
