//! The bugs that are compiled in on purpose (feature `mutants`): each breaks one rule, and the simulator must find it.
use std::fmt;
use std::str::FromStr;

/// A bug in one of the machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// A node leaves a claimed leg in the table of ready connections (PROTOCOL.md §5.3).
    DoubleClaim,
    /// A node sends PAIRED when the record is there, without ACCEPT (§5.3).
    PairedWithoutAccept,
    /// A session keeps bytes that it already has (§8.2).
    ReplayKept,
    /// A session acknowledges what it received, not what it wrote (§8.2).
    AckBeforeWrite,
    /// An agent's session takes a generation that is not higher (§8.4).
    OldGenerationAccepted,
}

/// A name of no mutant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownMutant;

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::DoubleClaim,
        Self::PairedWithoutAccept,
        Self::ReplayKept,
        Self::AckBeforeWrite,
        Self::OldGenerationAccepted,
    ];

    /// The name on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DoubleClaim => "double-claim",
            Self::PairedWithoutAccept => "paired-without-accept",
            Self::ReplayKept => "replay-kept",
            Self::AckBeforeWrite => "ack-before-write",
            Self::OldGenerationAccepted => "old-generation-accepted",
        }
    }

    /// The node's part of it.
    #[cfg(feature = "mutants")]
    pub(crate) fn of_node(self) -> telerelay_outer::node::Mutant {
        match self {
            Self::DoubleClaim => telerelay_outer::node::Mutant::DoubleClaim,
            Self::PairedWithoutAccept => telerelay_outer::node::Mutant::PairedWithoutAccept,
            Self::ReplayKept | Self::AckBeforeWrite | Self::OldGenerationAccepted => {
                telerelay_outer::node::Mutant::None
            }
        }
    }

    /// The session's part of it.
    #[cfg(feature = "mutants")]
    pub(crate) fn of_session(self) -> Option<telerelay_session::Mutant> {
        match self {
            Self::ReplayKept => Some(telerelay_session::Mutant::ReplayKept),
            Self::AckBeforeWrite => Some(telerelay_session::Mutant::AckBeforeWrite),
            Self::OldGenerationAccepted => Some(telerelay_session::Mutant::OldGenerationAccepted),
            Self::DoubleClaim | Self::PairedWithoutAccept => None,
        }
    }
}

impl fmt::Display for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Mutant {
    type Err = UnknownMutant;

    fn from_str(text: &str) -> Result<Self, UnknownMutant> {
        Self::ALL
            .into_iter()
            .find(|mutant| mutant.as_str() == text)
            .ok_or(UnknownMutant)
    }
}
