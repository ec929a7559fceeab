//! A path, from PAIRED to its attempt's one terminal event.
use telerelay_wire::ids::{AttemptId, DeviceId, OrganisationId, PathId};
use telerelay_wire::outer::SessionEnd;
use telerelay_wire::{Code, Moment};

use super::command::PathEnd;
use super::table::{Concerned, DeviceKey, Timer};
use crate::deadlines::Due;
use crate::leg::LegKey;

/// What is kept of a path: of thousands, so nothing that START has said (PROTOCOL.md §14), and of its legs only whose they are.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) attempt: AttemptId,
    pub(super) path: PathId,
    pub(super) organisation: OrganisationId,
    pub(super) client: DeviceId,
    pub(super) agent: DeviceId,
    pub(super) client_leg: LegKey,
    pub(super) agent_leg: LegKey,
    /// When CONNECT came.
    pub(super) began: Moment,
    /// The node ends it, with this code.
    pub(super) ruled: Option<Code>,
    pub(super) course: Course,
    pub(super) due: Due<Timer>,
}

/// How far a path has come (PROTOCOL.md §5.6). What is there for seconds only is boxed.
#[derive(Debug)]
pub(super) enum Course {
    /// It carries bytes. `closing`: its legs are being closed. `report`: the agent has said how its session ended.
    Carrying {
        closing: bool,
        report: Option<Box<SessionEnd>>,
    },
    /// It ended at that moment; the agent's report is awaited.
    Ended(Box<(Moment, PathEnd)>),
}

impl Session {
    pub(super) fn client(&self) -> DeviceKey {
        self.device(self.client)
    }

    pub(super) fn agent(&self) -> DeviceKey {
        self.device(self.agent)
    }

    fn device(&self, device: DeviceId) -> DeviceKey {
        DeviceKey {
            organisation: self.organisation,
            device,
        }
    }

    /// Whom ending it concerns.
    pub(super) fn concerned(&self) -> Concerned {
        Concerned {
            attempt: self.attempt,
            client: self.client(),
            agent: Some(self.agent()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_paths_are_two_megabytes() {
        assert!(size_of::<Session>() <= 184, "{}", size_of::<Session>());
    }
}
