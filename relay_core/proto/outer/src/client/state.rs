//! How far a request of a client has come.
use telerelay_wire::ids::Stage;

use crate::dial::{Hop, Tour};
use crate::leg::LegKey;
use crate::networks::Network;

#[derive(Debug)]
pub(super) enum State {
    /// Dialling an address.
    Dialling { leg: LegKey, hop: Hop, tour: Tour },
    /// HELLO and CONNECT were sent.
    Hello {
        leg: LegKey,
        network: Network,
        tour: Tour,
    },
    /// WELCOME came.
    Asked {
        leg: LegKey,
        network: Network,
        does_switch: bool,
    },
    /// PAIRED came.
    Path {
        stage: Stage,
        network: Network,
        does_switch: bool,
        direct: bool,
    },
    /// Over.
    Ended,
}

impl State {
    pub(super) fn leg(&self) -> Option<LegKey> {
        match self {
            Self::Dialling { leg, .. } | Self::Hello { leg, .. } | Self::Asked { leg, .. } => {
                Some(*leg)
            }
            Self::Path { .. } | Self::Ended => None,
        }
    }

    pub(super) fn stage(&self) -> Stage {
        match self {
            Self::Dialling { .. } | Self::Ended => Stage::Dial,
            Self::Hello { .. } => Stage::Hello,
            Self::Asked { .. } => Stage::Route,
            Self::Path { stage, .. } => *stage,
        }
    }
}
