//! What all three roles say about a leg.

/// The protocol version of HELLO and WELCOME.
pub const VERSION: u16 = 1;

/// The feature of WELCOME without which no endpoint sends SWITCH (PROTOCOL.md §6).
pub const DIRECT: &str = "direct";

/// A leg, as machine and driver call it. At a node the driver numbers legs, at an endpoint the machine does. A number
/// is never used twice, so that news of a leg that is gone cannot hit another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LegKey(pub u64);

/// How to close a leg. The machine has forgotten it by then, so that nothing matters that still comes from it; only the
/// legs of a node's path are remembered until the driver says that the path has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Send what is queued for it, then close.
    Flushed,
    /// Drop what is queued.
    AtOnce,
}

/// What a path was when it ended (PROTOCOL.md §6, §14).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathKind {
    /// Both legs in outer TLS.
    Wrapped,
    /// One leg in outer TLS, one without.
    Mixed,
    /// Both legs without outer TLS.
    Direct,
}

impl PathKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Wrapped, Self::Mixed, Self::Direct];

    /// The word of an audit record.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Wrapped => "wrapped",
            Self::Mixed => "mixed",
            Self::Direct => "direct",
        }
    }
}

/// What an organisation is admitted for. Whoever watches a node counts a load test apart from the work of people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The work of its staff.
    Staff,
    /// A test: it was admitted until a certain time only.
    Test,
}

impl Purpose {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Staff, Self::Test];

    /// The word of a metric's label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Staff => "staff",
            Self::Test => "test",
        }
    }
}

/// The bytes of inner TLS that a path carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// From the agent to the client.
    pub to_client: u64,
    /// From the client to the agent.
    pub to_agent: u64,
}
