//! The top layer: outer TLS to a pinned node.
use std::io;
use std::sync::Arc;

use rustls::{AlertDescription, ClientConfig};
use telerelay_wire::ids::{Address, NodeName};
use telerelay_wire::limits;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::DialError;
use crate::config::server_name;
use crate::handshake::{self, HandshakeError};
use crate::tls::{Tls, TlsError};

/// Why the layer could not be put on.
pub(super) enum Fall {
    /// Not one byte came back to the ClientHello.
    Silent,
    /// The stream below broke in the middle.
    Stream(io::Error),
    /// TLS did not come to its end.
    Tls(TlsError),
}

impl Fall {
    pub(super) fn into_error(self, address: &Address) -> DialError {
        let address = address.clone();
        match self {
            Self::Silent => DialError::Late { address },
            Self::Stream(source) => DialError::Unreachable { address, source },
            Self::Tls(TlsError::Peer(rustls::Error::AlertReceived(
                AlertDescription::InternalError,
            ))) => DialError::Busy { address },
            Self::Tls(source) => DialError::Tls { address, source },
        }
    }
}

/// Puts outer TLS on a stream. The caller bounds the whole time.
pub(super) async fn climb<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    node: &NodeName,
    config: &Arc<ClientConfig>,
) -> Result<(S, Tls), Fall> {
    let mut tls = Tls::client(config.clone(), server_name(node)).map_err(Fall::Tls)?;
    match timeout(
        limits::DIAL_SILENCE,
        handshake::begin(&mut stream, &mut tls),
    )
    .await
    {
        Ok(Ok(())) => {}
        // However it ended: nothing had come back.
        Ok(Err(_)) | Err(_) => return Err(Fall::Silent),
    }
    match handshake::run(&mut stream, &mut tls).await {
        // A server that knows no ALPN ends its handshake all the same; nobody would know what it speaks then (PROTOCOL.md §1.1).
        Ok(())
            if !config
                .alpn_protocols
                .iter()
                .any(|ours| tls.alpn() == Some(ours)) =>
        {
            Err(Fall::Tls(rustls::Error::NoApplicationProtocol.into()))
        }
        Ok(()) => Ok((stream, tls)),
        Err(HandshakeError::Stream(error)) => Err(Fall::Stream(error)),
        Err(HandshakeError::Tls(error)) => Err(Fall::Tls(error)),
    }
}
