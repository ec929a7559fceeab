//! What happened in a run, fact by fact, for tests that ask; and the corners of the protocol that it came through.
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use telerelay_outer::PathKind;
use telerelay_wire::ids::{AttemptId, SessionId, Stage};
use telerelay_wire::{Code, Moment, Reason, limits};

use crate::agenda::Who;
use crate::scenario::Scenario;

/// Something that happened to somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// Virtual time.
    pub at: Moment,
    /// Whom it happened to, or who did it.
    pub who: Who,
    /// What.
    pub what: What,
}

/// What happened. Those of a node come first, then those of agents and clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// An agent's or a client's leg was welcomed.
    Welcomed(Who),
    /// ERROR left that belongs to no attempt.
    TurnedAway {
        /// For whom.
        whom: Who,
        /// Its code.
        code: Reason,
        /// Its `retry`, in seconds.
        retry: Option<u32>,
    },
    /// A leg was closed without a word.
    PutOut(Who),
    /// *here* was decided.
    Routed(AttemptId),
    /// INCOMING left.
    Claimed {
        /// For whose request.
        attempt: AttemptId,
        /// For whom.
        agent: Who,
    },
    /// Two legs became a path.
    Joined {
        /// By whose request.
        attempt: AttemptId,
        /// One end.
        agent: Who,
        /// The other.
        client: Who,
    },
    /// A leg of a path put its outer TLS down.
    Switched {
        /// Whose path.
        attempt: AttemptId,
        /// Whose leg.
        leg: Who,
    },
    /// Both legs of a path are closed.
    PathOver {
        /// Whose path.
        attempt: AttemptId,
        /// How it travelled.
        kind: PathKind,
    },
    /// The terminal event of an attempt.
    Terminal {
        /// Whose.
        attempt: AttemptId,
        /// Its code.
        code: Reason,
        /// How far it had come.
        stage: Stage,
    },
    /// An endpoint dialled this node.
    Dialled(usize),
    /// A frame left, between endpoint and node or between agent and client. DATA, ACK and PATH are not told.
    Said(&'static str),
    /// CONNECT left.
    Asked {
        /// As whose request.
        attempt: AttemptId,
        /// For one more path of a session.
        resumes: bool,
    },
    /// A session lives at this end.
    Opened(SessionId),
    /// Another path carries it.
    Resumed {
        /// The path's number.
        generation: u32,
    },
    /// No path carries it.
    Disconnected,
    /// It gave up a path over which nothing came.
    PathLost,
    /// A direct leg did not prove itself.
    Unproven,
    /// A client was told that the agent's ready connection waits at this node.
    Standby(usize),
    /// A client was called there.
    Called,
    /// A client dials beside a silent path.
    DialsBeside,
    /// The session ended at this end.
    SessionEnded {
        /// With this code.
        code: Reason,
        /// At this stage.
        stage: Stage,
    },
    /// A client's request ended.
    RequestEnded {
        /// Its last attempt.
        attempt: AttemptId,
        /// With this code.
        code: Reason,
    },
}

/// The corners that a run came through, and how often: terminal codes, clients' codes, frames, kinds of paths, and what takes
/// more than one fact to tell.
pub fn corners(scenario: &Scenario, story: &[Fact]) -> BTreeMap<String, u64> {
    let mut corners = Corners::default();
    for fact in story {
        corners.add(scenario, fact);
    }
    corners.reached
}

/// What is known of an attempt while the story is read.
#[derive(Clone, Copy, Debug, Default)]
struct Attempt {
    resumes: bool,
    routed: Option<Moment>,
    is_claimed: bool,
    /// Whose legs switched, in turn.
    switched: [Option<Who>; 2],
}

#[derive(Debug, Default)]
struct Corners {
    reached: BTreeMap<String, u64>,
    attempts: BTreeMap<AttemptId, Attempt>,
    /// When a client's session was opened.
    opened: BTreeMap<Who, Moment>,
    /// Clients whose direct leg failed and who have no session since.
    unproven: BTreeSet<Who>,
    /// Who was last welcomed by a node, and when.
    welcomed: BTreeMap<Who, (Moment, Who)>,
}

impl Corners {
    fn reach(&mut self, corner: impl Into<String>) {
        *self.reached.entry(corner.into()).or_default() += 1;
    }

    fn add(&mut self, scenario: &Scenario, fact: &Fact) {
        match &fact.what {
            What::Welcomed(whom) => {
                self.welcomed.insert(fact.who, (fact.at, *whom));
            }
            What::TurnedAway { code, .. } => self.reach(format!("turned away {code}")),
            // The newcomer is welcomed in the same step.
            What::PutOut(old) => {
                if let Some(&(at, new)) = self.welcomed.get(&fact.who)
                    && at == fact.at
                    && new != *old
                    && matches!((old, new), (Who::Agent(_), Who::Agent(_)))
                {
                    self.reach("silent clone lost its place");
                }
            }
            What::Asked { attempt, resumes } => {
                self.attempts.entry(*attempt).or_default().resumes = *resumes;
            }
            What::Routed(attempt) => {
                self.attempts.entry(*attempt).or_default().routed = Some(fact.at);
            }
            What::Claimed { attempt, .. } => {
                let of = self.attempts.entry(*attempt).or_default();
                of.is_claimed = true;
                if of.routed.is_some_and(|routed| routed < fact.at) {
                    self.reach("gap wait won");
                }
            }
            What::Switched { attempt, leg } => {
                let [first, second] = &mut self.attempts.entry(*attempt).or_default().switched;
                if first.is_none() { first } else { second }.replace(*leg);
            }
            What::PathOver { attempt, kind } => {
                self.reach(format!("path {kind:?}"));
                let switched = self.attempts.entry(*attempt).or_default().switched;
                self.reach(switches(switched));
            }
            What::Terminal { attempt, code, .. } => self.terminal(*attempt, code, fact.at),
            What::Said(frame) => self.reach(format!("frame {frame}")),
            What::Opened(_) => {
                self.opened.insert(fact.who, fact.at);
                if self.unproven.remove(&fact.who) {
                    self.reach("asked for again wrapped, and opened");
                }
            }
            What::Resumed { .. } => self.reach("resumed"),
            What::Disconnected => self.reach("session without a path"),
            What::PathLost => self.reach("silent path given up"),
            What::Unproven => self.unproven(fact),
            What::Called => self.reach("called to the standby"),
            What::DialsBeside => self.reach("dialled beside a silent path"),
            What::SessionEnded { .. } => self.session_ended(scenario, fact),
            What::RequestEnded { code, .. } => self.reach(format!("request {code}")),
            What::Joined { .. } | What::Dialled(_) | What::Standby(_) => {}
        }
    }

    fn unproven(&mut self, fact: &Fact) {
        self.reach(match fact.who {
            Who::Client(_) => "a client's direct leg did not prove itself",
            _ => "an agent's direct leg did not prove itself",
        });
        if let Who::Client(_) = fact.who {
            self.unproven.insert(fact.who);
        }
    }

    fn terminal(&mut self, attempt: AttemptId, code: &Reason, at: Moment) {
        let of = self.attempts.get(&attempt).copied().unwrap_or_default();
        self.reach(format!("terminal {code}"));
        if of.resumes && *code == Code::SessionGone {
            self.reach("resume refused");
        }
        if *code == Code::Absent
            && !of.is_claimed
            && let Some(routed) = of.routed
        {
            if at == routed {
                self.reach("absent at once");
            } else if at == routed + limits::GAP_WAIT {
                self.reach("gap wait lost");
            }
        }
    }

    /// A session that was there when its viewer froze and when it thawed.
    fn session_ended(&mut self, scenario: &Scenario, fact: &Fact) {
        if let Who::Client(number) = fact.who
            && let Some(&opened) = self.opened.get(&fact.who)
            && let plan = &scenario.clients[number]
            && let Some((after, time)) = plan.viewer.freezes
            && opened + plan.viewer_arrives + after + time < fact.at
            && time >= LONG
        {
            self.reach("viewer frozen for long");
        }
    }
}

/// Longer than any silence that costs a path.
const LONG: Duration = Duration::from_secs(30);

fn switches(switched: [Option<Who>; 2]) -> &'static str {
    match switched {
        [None, _] => "no leg switched",
        [Some(Who::Agent(_)), None] => "the agent's leg switched alone",
        [Some(_), None] => "the client's leg switched alone",
        [Some(Who::Agent(_)), Some(_)] => "the agent's leg switched first",
        [Some(_), Some(_)] => "the client's leg switched first",
    }
}
