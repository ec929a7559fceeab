//! What was seen of one life of one agent: its ready connection, when it may dial, and which paths it has not reported.
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use telerelay_outer::LegKey;
use telerelay_wire::ids::PathId;
use telerelay_wire::outer::{Frame, Keepalive};
use telerelay_wire::{Moment, limits};

use crate::invariants::{self, Verdict};

/// How long an agent that keeps the protocol leaves its ready connection silent: from its last word to the answer to that,
/// the time of a keepalive, and an INCOMING that came in its last moment (PROTOCOL.md §5.4).
const SILENCE: Duration = limits::KEEPALIVE
    .saturating_add(limits::KEEPALIVE_ANSWER)
    .saturating_add(limits::VERDICT);

/// Everything about one life of one agent.
#[derive(Debug, Default)]
pub(crate) struct AgentBook {
    post: Post,
    /// What the last ERROR said about coming back.
    comeback: Comeback,
    /// Paths that have ended and were not reported.
    owed: BTreeSet<PathId>,
    /// How often each path was reported.
    reports: BTreeMap<PathId, u32>,
}

/// Where the ready connection is (PROTOCOL.md §5.4).
#[derive(Debug, Default)]
enum Post {
    /// The agent was not started, or has left.
    #[default]
    Closed,
    /// There is none, since then.
    Vacant(Moment),
    /// It is this leg.
    Leg {
        leg: LegKey,
        stage: Stage,
        /// Since when it is at that stage.
        since: Moment,
        /// When the agent last said something on it.
        said: Moment,
        /// When the agent asked whether the node lives, if nothing came since.
        asked: Option<Moment>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Dialling,
    Hello,
    Ready,
    Asked,
}

/// When an agent may dial (PROTOCOL.md §4, §5.7).
#[derive(Clone, Copy, Debug)]
enum Comeback {
    NotBefore(Moment),
    Never,
}

impl Default for Comeback {
    fn default() -> Self {
        Self::NotBefore(Moment::ZERO)
    }
}

impl AgentBook {
    /// The agent dials.
    pub(crate) fn dials(&mut self, leg: LegKey, now: Moment) -> Verdict {
        self.post = Post::Leg {
            leg,
            stage: Stage::Dialling,
            since: now,
            said: now,
            asked: None,
        };
        let not_before = match self.comeback {
            Comeback::NotBefore(moment) => Some(moment),
            Comeback::Never => None,
        };
        invariants::no_dial_before_its_time(not_before, now)
    }

    /// A frame leaves.
    pub(crate) fn says(&mut self, on: LegKey, frame: &Frame<'_>, now: Moment) -> Verdict {
        if let Frame::SessionEnd(report) = frame {
            self.owed.remove(&report.path);
            let reports = self.reports.entry(report.path).or_default();
            *reports += 1;
            invariants::one_report_per_path(*reports)?;
        }
        let Post::Leg {
            leg, said, asked, ..
        } = &mut self.post
        else {
            return Ok(());
        };
        if *leg != on {
            return Ok(());
        }
        *said = now;
        match frame {
            Frame::Hello(_) => self.enters(Stage::Hello, now),
            Frame::Refuse(_) => self.enters(Stage::Ready, now),
            Frame::Accept(_) => self.post = Post::Vacant(now),
            Frame::Keepalive(Keepalive { ask: true, .. }) => *asked = Some(now),
            _ => {}
        }
        Ok(())
    }

    /// A frame comes.
    pub(crate) fn hears(&mut self, on: LegKey, frame: &Frame<'_>, now: Moment) {
        let Post::Leg { leg, asked, .. } = &mut self.post else {
            return;
        };
        if *leg != on {
            return;
        }
        *asked = None;
        match frame {
            Frame::Welcome(_) => self.enters(Stage::Ready, now),
            Frame::Incoming(_) => self.enters(Stage::Asked, now),
            Frame::Error(error) => {
                self.comeback = error.retry.map_or(Comeback::Never, |retry| {
                    Comeback::NotBefore(now + Duration::from_secs(retry.into()))
                });
            }
            _ => {}
        }
    }

    fn enters(&mut self, next: Stage, now: Moment) {
        if let Post::Leg { stage, since, .. } = &mut self.post {
            (*stage, *since) = (next, now);
        }
    }

    /// A leg is closed.
    pub(crate) fn closed(&mut self, gone: LegKey, now: Moment) {
        if matches!(self.post, Post::Leg { leg, .. } if leg == gone) {
            self.post = Post::Vacant(now);
        }
    }

    /// A path has ended.
    pub(crate) fn path_ended(&mut self, path: PathId) {
        self.owed.insert(path);
    }

    /// The agent has left.
    pub(crate) fn stopped(&mut self) {
        self.post = Post::Closed;
    }

    /// What holds at every step.
    pub(crate) fn judge(&self, now: Moment) -> Verdict {
        let wait = |what, since, most| invariants::nobody_waits_too_long(what, since, now, most);
        match self.post {
            Post::Closed => Ok(()),
            Post::Vacant(since) => match self.comeback {
                Comeback::Never => Ok(()),
                Comeback::NotBefore(moment) => wait(
                    "an agent's next dial",
                    since.max(moment),
                    limits::RETURN_WINDOW_CAP,
                ),
            },
            Post::Leg {
                stage,
                since,
                said,
                asked,
                ..
            } => {
                if let Some(asked) = asked {
                    wait("an answer to KEEPALIVE", asked, limits::KEEPALIVE_ANSWER)?;
                }
                match stage {
                    Stage::Dialling => wait("an address", since, limits::DIAL_ADDRESS),
                    Stage::Hello => wait("WELCOME", since, limits::HANDSHAKE),
                    Stage::Asked => wait("a verdict", since, limits::VERDICT),
                    Stage::Ready => {
                        invariants::a_report_leaves_at_once(self.owed.len())?;
                        wait("a word of a ready agent", said, SILENCE)
                    }
                }
            }
        }
    }
}
