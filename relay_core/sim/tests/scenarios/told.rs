//! Plays a scenario, and finds in its story what a test asks for.
use std::time::Duration;

use telerelay_sim::{Outcome, Scenario, SessionBook, What, Who, run};
use telerelay_wire::ids::AttemptId;
use telerelay_wire::{Moment, Reason};

/// A path as its node saw it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Joined {
    pub(crate) at: Moment,
    pub(crate) node: usize,
    pub(crate) client: Who,
}

/// A run in which no rule was broken.
pub(crate) struct Told(Outcome);

pub(crate) fn play(scenario: &Scenario) -> Told {
    let outcome = run(scenario, None, false);
    if let Some(failure) = &outcome.failure {
        panic!("seed {}: {failure}", scenario.seed);
    }
    Told(outcome)
}

impl Told {
    /// What the facts of somebody say to a question, with their times.
    pub(crate) fn all<T>(&self, pick: impl Fn(Who, &What) -> Option<T>) -> Vec<(Moment, T)> {
        self.0
            .story
            .iter()
            .filter_map(|fact| Some((fact.at, pick(fact.who, &fact.what)?)))
            .collect()
    }

    /// When somebody did this.
    pub(crate) fn when(&self, whom: Who, what: &What) -> Vec<Moment> {
        let facts = self.all(|who, found| (who == whom && found == what).then_some(()));
        facts.into_iter().map(|(at, ())| at).collect()
    }

    /// When anybody did this.
    pub(crate) fn ever(&self, what: &What) -> Vec<Moment> {
        let facts = self.all(|_, found| (found == what).then_some(()));
        facts.into_iter().map(|(at, ())| at).collect()
    }

    /// The codes with which a client's requests ended.
    pub(crate) fn ends(&self, client: usize) -> Vec<Reason> {
        let ends = self.all(|who, what| match what {
            What::RequestEnded { code, .. } if who == Who::Client(client) => Some(code.clone()),
            _ => None,
        });
        ends.into_iter().map(|(_, code)| code).collect()
    }

    /// The codes with which a session ended at somebody's end.
    pub(crate) fn session_ends(&self, whom: Who) -> Vec<Reason> {
        let ends = self.all(|who, what| match what {
            What::SessionEnded { code, .. } if who == whom => Some(code.clone()),
            _ => None,
        });
        ends.into_iter().map(|(_, code)| code).collect()
    }

    /// The terminal events of an attempt, at whatever node.
    pub(crate) fn terminals(&self, of: AttemptId) -> Vec<(Moment, Reason)> {
        self.all(|_, what| match what {
            What::Terminal { attempt, code, .. } if *attempt == of => Some(code.clone()),
            _ => None,
        })
    }

    /// The attempts of a client, in turn.
    pub(crate) fn attempts(&self, client: usize) -> Vec<AttemptId> {
        let asked = self.all(|who, what| match what {
            What::Asked { attempt, .. } if who == Who::Client(client) => Some(*attempt),
            _ => None,
        });
        let mut attempts: Vec<_> = asked.into_iter().map(|(_, attempt)| attempt).collect();
        attempts.dedup();
        attempts
    }

    /// Every path, in turn.
    pub(crate) fn joined(&self) -> Vec<Joined> {
        let joined = self.all(|who, what| match (who, what) {
            (Who::Node(node), What::Joined { client, .. }) => Some((node, *client)),
            _ => None,
        });
        joined
            .into_iter()
            .map(|(at, (node, client))| Joined { at, node, client })
            .collect()
    }

    /// How long an attempt waited for a ready connection, where it got one.
    pub(crate) fn waited(&self, of: AttemptId) -> Option<Duration> {
        let claimed = self.all(|_, what| match what {
            What::Claimed { attempt, .. } if *attempt == of => Some(()),
            _ => None,
        });
        let claimed = claimed.first()?.0;
        Some(claimed.since(self.routed(of)))
    }

    /// When *here* was decided for an attempt.
    pub(crate) fn routed(&self, of: AttemptId) -> Moment {
        *self
            .ever(&What::Routed(of))
            .first()
            .expect("it was decided")
    }

    /// The bytes of the only session.
    pub(crate) fn session(&self) -> SessionBook {
        let [session] = self.0.sessions.values().copied().collect::<Vec<_>>()[..] else {
            panic!("{} sessions", self.0.sessions.len());
        };
        session
    }

    /// The only session brought so many bytes to the screen and to the desktop, and both sides said that it was all.
    pub(crate) fn brought(&self, screen: u64, input: u64) {
        let session = self.session();
        assert!(session.is_complete(), "{session:?}");
        assert_eq!(
            (session.screen.written, session.input.written),
            (screen, input)
        );
    }
}
