//! Every way in which the other end can break PROTOCOL.md §8, one variant each.
use telerelay_wire::ids::NoticeHash;
use telerelay_wire::{Code, FrameError};

/// The other end broke the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// The bytes are no frame of §8.
    #[error("{0}")]
    Frame(#[from] FrameError),
    /// The state does not name this frame: a second OPEN, DATA before OPENED, an agent's frame from a client.
    #[error("{frame} does not belong here")]
    Unexpected {
        /// The frame's name.
        frame: &'static str,
    },
    /// OPEN or RESUME names another service, attempt or path than INCOMING did.
    #[error("{frame} is not of the path that it came by")]
    OtherPath {
        /// The frame's name.
        frame: &'static str,
    },
    /// DATA begins behind the last byte received.
    #[error("DATA at {offset}, with {received} bytes received")]
    Gap {
        /// Where DATA begins.
        offset: u64,
        /// Bytes received before it.
        received: u64,
    },
    /// DATA ends beyond the last acknowledgement and the window.
    #[error("DATA up to {end}, with {acked} bytes acknowledged, is beyond the window")]
    BeyondWindow {
        /// The offset behind the last byte of DATA.
        end: u64,
        /// Bytes acknowledged before it.
        acked: u64,
    },
    /// DATA ends beyond the offset of FIN.
    #[error("DATA up to {end} is beyond FIN")]
    BeyondFin {
        /// The offset behind the last byte of DATA.
        end: u64,
    },
    /// A second FIN names another offset.
    #[error("FIN at {offset} after FIN at {before}")]
    FinMoved {
        /// What the second FIN names.
        offset: u64,
        /// What the first named.
        before: u64,
    },
    /// FIN names an offset below what was received.
    #[error("FIN at {offset}, with {received} bytes received")]
    FinBelowReceived {
        /// What FIN names.
        offset: u64,
        /// Bytes received before it.
        received: u64,
    },
    /// ACK, RESUME or RESUMED counts bytes that were never sent.
    #[error("{offset} bytes acknowledged, {sent} sent")]
    AckBeyondSent {
        /// Bytes that the other end says it wrote.
        offset: u64,
        /// The highest offset that ever travelled.
        sent: u64,
    },
    /// NOTICE's hash is not SHA-256 of its text, or CONFIRM names a notice that does not wait.
    #[error("no notice of hash {hash:?}")]
    NoticeHash {
        /// The hash that was named.
        hash: NoticeHash,
    },
    /// More `AUTH_ASK` or NOTICE than a person is asked.
    #[error("more {frame} than {limit}")]
    TooMany {
        /// The frame's name.
        frame: &'static str,
        /// How many are allowed.
        limit: usize,
    },
}

impl Violation {
    /// The code of CLOSE (PROTOCOL.md §13).
    pub const fn code(self) -> Code {
        match self {
            Self::Frame(error) => error.code(),
            Self::OtherPath { .. } => Code::Identity,
            _ => Code::SessionProtocol,
        }
    }
}
