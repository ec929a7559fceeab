//! Why a run could not begin, or broke off.
use std::io;
use std::path::PathBuf;

use telerelay_leg::credentials::CredentialsError;
use telerelay_leg::trust::Refusal;

use crate::traffic::way::WayError;

/// A run could not begin, or broke off. What is measured is never one of these.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file of the tenant's folder is missing or cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// A file of the tenant's folder does not hold what it should.
    #[error("{}: {what}", path.display())]
    Content {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// Chain or key of a device.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The folder has fewer devices than were asked for.
    #[error("{wanted} {what} from {first} on: the folder has {there}")]
    TooFew {
        /// Agents or clients.
        what: &'static str,
        /// The first that was asked for.
        first: usize,
        /// How many were asked for.
        wanted: usize,
        /// How many there are.
        there: usize,
    },
    /// One process cannot have so many sockets.
    #[error("{needed} descriptors are needed, a process has {most}: spread the run over several")]
    Descriptors {
        /// How many the run needs.
        needed: usize,
        /// How many a process may have.
        most: usize,
    },
    /// The chain of a device is not one of this system's.
    #[error(transparent)]
    Chain(#[from] Refusal),
    /// A session of traffic could not be made.
    #[error(transparent)]
    Way(#[from] WayError),
    /// What was ordered cannot be read.
    #[error("the order: {0}")]
    Order(String),
    /// A flood is for this machine only.
    #[error("{0} is not in 127.0.0.0/8: strangers are made for this machine only")]
    NotThisMachine(std::net::SocketAddr),
    /// A screen model that cannot be played.
    #[error("the screen model: {0}")]
    Model(String),
    /// A number that makes no sense.
    #[error("{0}")]
    Usage(&'static str),
    /// TLS could not be set up.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    /// This machine: a socket, a thread, standard output.
    #[error(transparent)]
    Machine(#[from] io::Error),
}
