//! How an endpoint reaches a node: a stack of layers, dialled bottom up (PROTOCOL.md §1).
//!
//! Each layer is a function from the stream below to the stream above: `tcp::connect` makes the first, `outer::climb` the
//! last. A layer between them takes what TCP gave and gives what outer TLS takes.
mod outer;
mod tcp;
#[cfg(test)]
mod tests;

use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use telerelay_wire::Code;
use telerelay_wire::ids::{Address, NodeAddress, NodeName};
use telerelay_wire::limits::DIAL_ADDRESS;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::config::{Language, OuterConfigs};
use crate::credentials::Credentials;
use crate::tls::{Tls, TlsError};
use crate::trust::Pins;

/// A dial did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// Nobody answers there, or the name is not known.
    #[error("{address}: {source}")]
    Unreachable {
        /// Where.
        address: Address,
        /// What the operating system says.
        source: io::Error,
    },
    /// Neither answer nor refusal within `dial_address_s`.
    #[error("{address}: no answer within {} s", DIAL_ADDRESS.as_secs())]
    Late {
        /// Where.
        address: Address,
    },
    /// Something answers there that is no node, or ends the connection.
    #[error("{address}: {source}")]
    Tls {
        /// Where.
        address: Address,
        /// What TLS says.
        source: TlsError,
    },
    /// The node has no time for one more handshake just now (PROTOCOL.md §1.3).
    #[error("{address}: the node is busy")]
    Busy {
        /// Where.
        address: Address,
    },
    /// There was no address to dial.
    #[error("no address of a node is known")]
    NoAddress,
}

impl DialError {
    /// The code of PROTOCOL.md §13.
    pub fn code(&self) -> Code {
        match self {
            Self::Unreachable { .. } | Self::Late { .. } | Self::NoAddress => Code::Unreachable,
            Self::Tls { source, .. } => source.code(),
            Self::Busy { .. } => Code::Busy,
        }
    }
}

impl TlsError {
    /// What it means to an endpoint that outer TLS ended so, at a dial or later: the node learns of a client's certificate
    /// only behind the client's end of the handshake.
    pub fn code(&self) -> Code {
        use rustls::AlertDescription as Alert;
        match self {
            Self::Peer(rustls::Error::InvalidCertificate(_)) => Code::Pin,
            Self::Peer(rustls::Error::AlertReceived(
                Alert::UnknownCA
                | Alert::BadCertificate
                | Alert::UnsupportedCertificate
                | Alert::CertificateExpired
                | Alert::CertificateUnknown
                | Alert::CertificateRevoked
                | Alert::CertificateRequired
                | Alert::AccessDenied
                | Alert::DecryptError,
            )) => Code::Certificate,
            _ => Code::Unreachable,
        }
    }
}

/// Dials nodes in one language, with one identity.
#[derive(Debug)]
pub struct Dialer {
    configs: OuterConfigs,
    source: Option<IpAddr>,
    short: AtomicU64,
}

impl Dialer {
    /// `pins` are the cluster's; `credentials` what nodes know this endpoint by.
    pub fn new(
        pins: Pins,
        credentials: Option<&Credentials>,
        language: Language,
    ) -> Result<Self, rustls::Error> {
        Ok(Self {
            configs: OuterConfigs::new(pins, credentials, language)?,
            source: None,
            short: AtomicU64::new(0),
        })
    }

    /// Dials from this address of the machine; `None`: from the one that the kernel chooses.
    #[must_use]
    pub fn from_source(self, source: Option<IpAddr>) -> Self {
        Self { source, ..self }
    }

    /// Dials one address of a node, through all layers, within `dial_address_s`.
    pub async fn connect(
        &self,
        node: &NodeName,
        address: &Address,
    ) -> Result<(TcpStream, Tls), DialError> {
        let late = || DialError::Late {
            address: address.clone(),
        };
        timeout(DIAL_ADDRESS, self.connect_layers(node, address))
            .await
            .map_err(|_| late())?
    }

    /// Dials every address of every node in turn, in the order given. The error is that of the last one, unless one of them
    /// said more than that nobody is there.
    pub async fn connect_any(&self, nodes: &[NodeAddress]) -> Result<(TcpStream, Tls), DialError> {
        let mut failure = DialError::NoAddress;
        for node in nodes {
            for address in &node.addresses {
                match self.connect(&node.name, address).await {
                    Ok(leg) => return Ok(leg),
                    Err(error) => {
                        tracing::debug!(node = %node.name, %error, "the dial failed");
                        if failure.code() == Code::Unreachable || error.code() != Code::Unreachable
                        {
                            failure = error;
                        }
                    }
                }
            }
        }
        Err(failure)
    }

    /// How many dials were made once more without the hybrid group, because nothing came back.
    pub fn dials_without_hybrid(&self) -> u64 {
        self.short.load(Ordering::Relaxed)
    }

    async fn connect_layers(
        &self,
        node: &NodeName,
        address: &Address,
    ) -> Result<(TcpStream, Tls), DialError> {
        let stream = tcp::connect(address, self.source).await?;
        match outer::climb(stream, node, &self.configs.hybrid).await {
            Err(outer::Fall::Silent) => {
                self.short.fetch_add(1, Ordering::Relaxed);
                tracing::info!(node = %node, "nothing came back to the ClientHello: dialling without the hybrid group");
                let stream = tcp::connect(address, self.source).await?;
                outer::climb(stream, node, &self.configs.short)
                    .await
                    .map_err(|fall| fall.into_error(address))
            }
            climbed => climbed.map_err(|fall| fall.into_error(address)),
        }
    }
}
