//! Where an agent's legs are until they are paths, and what each waits for.
use telerelay_wire::outer::Incoming;

use crate::deadlines::Due;
use crate::dial::{Hop, Tour};
use crate::leg::LegKey;
use crate::networks::Network;

/// Every timer of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// Time to dial again.
    Dial,
    /// This address does not answer.
    Address,
    /// WELCOME does not come.
    Welcome,
    /// Time for KEEPALIVE(ask).
    Keepalive,
    /// KEEPALIVE(ask) was not answered.
    KeepaliveAnswer,
    /// `verdict` was not answered.
    Verdict,
    /// PAIRED did not come for this leg.
    Paired(LegKey),
}

/// Where the ready connection is.
#[derive(Debug)]
pub(super) enum Post {
    /// Nowhere: not started, stopped, or sent away for good.
    Empty,
    /// Not before its time.
    Waiting,
    /// Dialling an address.
    Dialling { leg: LegKey, hop: Hop, tour: Tour },
    /// HELLO was sent.
    Hello {
        leg: LegKey,
        hop: Hop,
        network: Network,
        tour: Tour,
    },
    /// WELCOME came. `direct`: where a path of this leg may be direct, the network.
    Ready {
        leg: LegKey,
        direct: Option<Network>,
    },
    /// INCOMING came and `verdict` was asked.
    Asked {
        leg: LegKey,
        direct: Option<Network>,
        incoming: Box<Incoming>,
    },
}

/// A leg that sent ACCEPT and waits for PAIRED.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) incoming: Box<Incoming>,
    pub(super) direct: Option<Network>,
    pub(super) due: Due<Timer>,
}

impl Post {
    /// The leg, where there is one.
    pub(super) fn leg(&self) -> Option<LegKey> {
        match self {
            Self::Empty | Self::Waiting => None,
            Self::Dialling { leg, .. }
            | Self::Hello { leg, .. }
            | Self::Ready { leg, .. }
            | Self::Asked { leg, .. } => Some(*leg),
        }
    }
}
