//! What is given to the engine, and what it says in the end.
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;

/// A path both legs of which are raw, to be carried to its end.
pub struct Path {
    /// The agent's leg.
    pub agent: Leg,
    /// The client's leg.
    pub client: Leg,
    /// A test's, whose messages' waits are counted apart.
    pub test: bool,
    /// Who is told the end.
    pub done: Done,
}

/// Called once, on the worker's thread, after both sockets were closed. It must not block: all paths of the worker wait for it.
/// Dropped uncalled only where the worker's thread panicked.
pub type Done = Box<dyn FnOnce(Outcome) + Send>;

/// One leg, as it is handed over.
///
/// Whoever made the socket has set what every leg is set to: no delay of small segments (`TCP_NODELAY`), a dead other end is found
/// (`SO_KEEPALIVE`), bytes may stay unacknowledged for so long only (`TCP_USER_TIMEOUT`, which also ends a reader that never
/// reads), and how many bytes the kernel takes unsent (`TCP_NOTSENT_LOWAT`, which bounds what the node keeps for a slow reader).
#[derive(Debug)]
pub struct Leg {
    /// A connected TCP socket; no other descriptor of this process refers to it.
    pub socket: OwnedFd,
    /// Bytes that are sent to this leg before all others. They do not count in [`Outcome`]: who made them has counted them.
    pub outgoing: Vec<u8>,
    /// This leg's FIN was read.
    pub read_ended: bool,
    /// FIN was sent to this leg: the other one has ended, and nothing is outgoing.
    pub write_ended: bool,
}

impl Leg {
    /// A leg with nothing outgoing and both directions open.
    pub const fn new(socket: OwnedFd) -> Self {
        Self {
            socket,
            outgoing: Vec::new(),
            read_ended: false,
            write_ended: false,
        }
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Path")
            .field("agent", &self.agent)
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}

/// How a path is closed that has not ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// What is held for a leg is sent, then FIN; what it still sends is read and dropped, for `linger_s` at most. A CLOSE that is in
    /// flight arrives: a socket that is closed with unread bytes is reset, and a reset throws away what the other side has not read.
    Linger,
    /// Both legs are reset at once.
    Reset,
}

/// One of the two endpoints of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// The program on the office PC.
    Agent,
    /// The program on the home PC.
    Client,
}

impl Endpoint {
    /// Both, in the order in which they stand in a path.
    pub(crate) const BOTH: [Self; 2] = [Self::Agent, Self::Client];

    /// The one at the other side.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Agent => Self::Client,
            Self::Client => Self::Agent,
        }
    }
}

/// What became of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Bytes from the agent.
    pub to_client: Moved,
    /// Bytes from the client.
    pub to_agent: Moved,
    /// Why it ended.
    pub reason: Reason,
}

/// Bytes of one direction that were read by the engine, whether they arrived or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Through the worker's buffer.
    pub copied: u64,
    /// Through a pipe.
    pub spliced: u64,
}

impl Moved {
    /// All of them.
    pub const fn total(self) -> u64 {
        self.copied + self.spliced
    }
}

/// Why a path ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Both directions came to their end: FIN each way.
    Done,
    /// [`PathKey::close`](crate::PathKey::close) or [`Engine::stop`](crate::Engine::stop).
    Ordered,
    /// This endpoint reset its leg.
    Reset(Endpoint),
    /// This endpoint did not answer or did not read for too long: keepalive, `TCP_USER_TIMEOUT`.
    TimedOut(Endpoint),
    /// This endpoint's leg failed otherwise.
    Failed(Endpoint, io::ErrorKind),
}

impl Reason {
    /// What an error of a leg means.
    pub(crate) fn of(endpoint: Endpoint, error: io::ErrorKind) -> Self {
        match error {
            // A reset is told once; whoever looks later learns only that the connection is not there.
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::NotConnected => Self::Reset(endpoint),
            io::ErrorKind::TimedOut => Self::TimedOut(endpoint),
            other => Self::Failed(endpoint, other),
        }
    }
}
