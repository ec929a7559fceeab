//! Ways between the two ends of a session.
mod greeting;
mod plain;
mod relay;

use std::io;
use std::ops::Range;

use telerelay_leg::dial::DialError;
use telerelay_leg::tls::TlsError;
use telerelay_wire::Reason;
use telerelay_wire::frame::FrameError;

use crate::traffic::Session;
pub use greeting::Greeting;
pub use plain::TlsFiles;
pub(crate) use plain::{Legs, Plain};
pub(crate) use relay::Relay;
pub use relay::Wrapping;

/// A session could not be made.
#[derive(Debug, thiserror::Error)]
pub enum WayError {
    /// A socket.
    #[error(transparent)]
    Socket(#[from] io::Error),
    /// Nobody came to the office in time.
    #[error("sessions of {0:?} did not arrive at the office")]
    Lost(Range<u64>),
    /// The node could not be dialled.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// TLS of a leg, or of an end.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Inner TLS, or a configuration.
    #[error(transparent)]
    Inner(#[from] rustls::Error),
    /// The node said what is no frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The node refused.
    #[error("the node refused: {0}")]
    Refused(Reason),
    /// The node said something else than what belonged there.
    #[error("the node did not say {0}")]
    Unexpected(&'static str),
}

/// Where sessions come from.
pub(crate) enum Way {
    /// A port that leads to another port.
    Plain(Plain),
    /// A node, whose agent and client the ends are.
    Relay(Relay),
}

impl Way {
    /// Makes the sessions with these numbers.
    pub(crate) fn open(&mut self, numbers: Range<u64>) -> Result<Vec<Session>, WayError> {
        match self {
            Self::Plain(plain) => plain.open(numbers),
            Self::Relay(relay) => relay.open(numbers),
        }
    }

    /// What its sessions say of their path.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Plain(plain) => plain.kind(),
            Self::Relay(relay) => relay.kind(),
        }
    }
}
