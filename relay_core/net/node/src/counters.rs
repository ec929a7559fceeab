//! What a node counts; read by metrics, never reset.
use std::fmt::{self, Display};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use telerelay_engine::{self as engine, Counts, Endpoint};
use telerelay_leg::accept::AcceptError;
use telerelay_leg::plain::PlainError;
use telerelay_outer::door::Step;
use telerelay_outer::node::{Join, Rule, Terminal};
use telerelay_outer::{PathKind, Purpose, Traffic};
use telerelay_wire::{Code, Reason};

/// Counters and gauges of one node.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Connections that were accepted.
    pub(crate) accepted: Count,
    /// Connections that are open, whatever they are.
    pub(crate) connections: Count,
    /// Connections in their handshake.
    pub(crate) handshaking: Count,
    /// Guests that had to go because there were too many.
    pub(crate) guests_evicted: Count,
    /// Handshakes that did not begin at once.
    pub(crate) handshakes_delayed: Count,
    /// Handshakes that ended well.
    pub(crate) handshakes: Count,
    handshakes_failed: [Count; AcceptError::NAMES.len()],
    /// ERROR frames, by their code.
    refused: ByCode,
    /// Attempts that ended, by the code of their terminal event.
    ended: ByCode,
    /// Attempts that became a path, by their purpose.
    paired: [Count; Purpose::ALL.len()],
    /// Attempts that ended before, by their purpose.
    unpaired: [ByCode; Purpose::ALL.len()],
    /// Those that became a path to go on with an earlier session.
    pub(crate) resumes: Count,
    /// Paths that carry something now: by what they are, and each by its purpose.
    live: [Count; PathKind::ALL.len() * Purpose::ALL.len()],
    /// Paths that were joined.
    pub(crate) paths_joined: Count,
    paths_ended: [Count; Ending::ALL.len()],
    bytes_to_client: Count,
    bytes_to_agent: Count,
    /// Connections of the API that are open.
    pub(crate) api_open: Count,
    /// Those of them with a certificate.
    pub(crate) api_identified: Count,
    /// Connections of the API without a certificate that had to go because there were too many.
    pub(crate) api_evicted: Count,
    /// Connections of the API that were one too many.
    pub(crate) api_full: Count,
    api_limited: [Count; PlainError::LIMITS.len()],
    /// Connections that were refused or closed because memory was short.
    shed: [Count; Step::ALL.len()],
    /// Times that accepting paused: no descriptor, no memory, or too much untold.
    pub(crate) accept_pauses: Count,
    /// Legs closed because they did not take what was sent to them.
    pub(crate) mailbox_overflows: Count,
    /// Tasks that panicked.
    pub(crate) panics: Count,
}

/// One number.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, number: u64) {
        self.0.fetch_add(number, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn subtract(&self, number: u64) {
        self.0.fetch_sub(number, Ordering::Relaxed);
    }
}

/// A counter for each code, and one for those that this version does not know.
#[derive(Debug)]
struct ByCode {
    known: [Count; Code::ALL.len()],
    unknown: Count,
}

impl Default for ByCode {
    fn default() -> Self {
        Self {
            known: std::array::from_fn(|_| Count::default()),
            unknown: Count::default(),
        }
    }
}

impl ByCode {
    fn count(&self, reason: &Reason) {
        let position = reason
            .code()
            .and_then(|code| Code::ALL.iter().position(|other| *other == code));
        position
            .and_then(|position| self.known.get(position))
            .unwrap_or(&self.unknown)
            .add(1);
    }

    fn all(&self) -> impl Iterator<Item = (&str, &Count)> {
        let known = Code::ALL.iter().map(|code| code.as_str()).zip(&self.known);
        known.chain([("UNKNOWN", &self.unknown)])
    }
}

/// How a path ended, and by whose leg, as far as a node can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Both directions came to their end.
    Done,
    /// The node wanted it.
    Ordered,
    /// A leg broke the rules.
    Breach,
    /// A leg was reset.
    Reset(Endpoint),
    /// A leg was silent or did not read for too long.
    TimedOut(Endpoint),
    /// A leg failed otherwise; while it is in outer TLS nobody says which.
    Failed(Option<Endpoint>),
}

impl Ending {
    const ALL: [Self; 10] = [
        Self::Done,
        Self::Ordered,
        Self::Breach,
        Self::Reset(Endpoint::Agent),
        Self::Reset(Endpoint::Client),
        Self::TimedOut(Endpoint::Agent),
        Self::TimedOut(Endpoint::Client),
        Self::Failed(None),
        Self::Failed(Some(Endpoint::Agent)),
        Self::Failed(Some(Endpoint::Client)),
    ];
}

/// `reason.leg`.
impl Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (reason, leg) = match *self {
            Self::Done => ("done", None),
            Self::Ordered => ("ordered", None),
            Self::Breach => ("breach", None),
            Self::Reset(leg) => ("reset", Some(leg)),
            Self::TimedOut(leg) => ("timed_out", Some(leg)),
            Self::Failed(leg) => ("failed", leg),
        };
        let leg = match leg {
            None => "none",
            Some(Endpoint::Agent) => "agent",
            Some(Endpoint::Client) => "client",
        };
        write!(f, "{reason}.{leg}")
    }
}

impl From<engine::Reason> for Ending {
    fn from(reason: engine::Reason) -> Self {
        match reason {
            engine::Reason::Done => Self::Done,
            engine::Reason::Ordered => Self::Ordered,
            engine::Reason::Reset(leg) => Self::Reset(leg),
            engine::Reason::TimedOut(leg) => Self::TimedOut(leg),
            engine::Reason::Failed(leg, _) => Self::Failed(Some(leg)),
        }
    }
}

/// One more in a gauge, for as long as this lives.
pub(crate) struct Counted {
    counters: Arc<Counters>,
    gauge: fn(&Counters) -> &Count,
}

impl Counted {
    pub(crate) fn new(counters: &Arc<Counters>, gauge: fn(&Counters) -> &Count) -> Self {
        gauge(counters).add(1);
        Self {
            counters: counters.clone(),
            gauge,
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        (self.gauge)(&self.counters).subtract(1);
    }
}

impl Counters {
    pub(crate) fn handshake_failed(&self, error: &AcceptError) {
        add(&AcceptError::NAMES, &self.handshakes_failed, error.name());
    }

    /// A connection of the API was ended by a limit.
    pub(crate) fn api_limited(&self, limit: &str) {
        add(&PlainError::LIMITS, &self.api_limited, limit);
    }

    /// So many of a step had to go because memory was short.
    pub(crate) fn shed(&self, step: Step, number: u64) {
        let [new, idle, api, ready] = &self.shed;
        match step {
            Step::New => new,
            Step::Idle => idle,
            Step::Api => api,
            Step::Ready => ready,
        }
        .add(number);
    }

    /// Descriptors of connections: a connection of the API has a pair of sockets besides its own.
    pub(crate) fn descriptors(&self) -> usize {
        let descriptors = self.connections.get() + 2 * self.api_open.get();
        usize::try_from(descriptors).unwrap_or(usize::MAX)
    }

    /// ERROR was sent.
    pub(crate) fn refused(&self, reason: &Reason) {
        self.refused.count(reason);
    }

    /// An attempt had its terminal event.
    pub(crate) fn ended(&self, terminal: &Terminal) {
        self.ended.count(&terminal.code);
        if terminal.path_kind.is_none() {
            self.unpaired[terminal.purpose as usize].count(&terminal.code);
        }
    }

    /// An attempt became a path.
    pub(crate) fn paired(&self, join: &Join) {
        self.paired[join.purpose as usize].add(1);
        self.resumes.add(join.resumes.into());
    }

    /// A path that was joined ended.
    pub(crate) fn path_ended(&self, ending: Ending) {
        let counts = Ending::ALL.iter().zip(&self.paths_ended);
        for (_, count) in counts.filter(|(other, _)| **other == ending) {
            count.add(1);
        }
    }

    /// The gauge of the live paths of a kind.
    pub(crate) const fn live(kind: PathKind, purpose: Purpose) -> fn(&Self) -> &Count {
        match (kind, purpose) {
            (PathKind::Wrapped, Purpose::Staff) => |counters| &counters.live[0],
            (PathKind::Wrapped, Purpose::Test) => |counters| &counters.live[1],
            (PathKind::Mixed, Purpose::Staff) => |counters| &counters.live[2],
            (PathKind::Mixed, Purpose::Test) => |counters| &counters.live[3],
            (PathKind::Direct, Purpose::Staff) => |counters| &counters.live[4],
            (PathKind::Direct, Purpose::Test) => |counters| &counters.live[5],
        }
    }

    pub(crate) fn carried(&self, traffic: Traffic) {
        self.bytes_to_client.add(traffic.to_client);
        self.bytes_to_agent.add(traffic.to_agent);
    }

    /// Every counter by its name, those by reason or code, the machine's and the engine's too; zero from the start.
    pub(crate) fn all(&self, throttled: &[(Rule, u64)], engine: &Counts) -> Vec<(String, u64)> {
        let plain = [
            ("accepted", &self.accepted),
            ("connections", &self.connections),
            ("handshaking", &self.handshaking),
            ("guests_evicted", &self.guests_evicted),
            ("handshakes_delayed", &self.handshakes_delayed),
            ("handshakes", &self.handshakes),
            ("paths_joined", &self.paths_joined),
            ("resumes", &self.resumes),
            ("api_open", &self.api_open),
            ("api_identified", &self.api_identified),
            ("api_evicted", &self.api_evicted),
            ("api_full", &self.api_full),
            ("accept_pauses", &self.accept_pauses),
            ("mailbox_overflows", &self.mailbox_overflows),
            ("panics", &self.panics),
        ];
        // What paths carried before they were direct, and then.
        let (to_client, to_agent) = (self.bytes_to_client.get(), self.bytes_to_agent.get());
        let carried = [
            ("bytes_to_client", to_client + engine.bytes_to_client),
            ("bytes_to_agent", to_agent + engine.bytes_to_agent),
            ("bytes_wrapped", to_client + to_agent),
        ];
        let failed = AcceptError::NAMES.iter().zip(&self.handshakes_failed);
        let limited = PlainError::LIMITS.iter().zip(&self.api_limited);
        let shed = Step::ALL.map(Step::as_str).into_iter().zip(&self.shed);
        let paths_ended = Ending::ALL.iter().zip(&self.paths_ended);
        plain
            .into_iter()
            .map(|(name, count)| (name, count.get()))
            .chain(carried)
            .map(|(name, count)| (name.to_owned(), count))
            .chain(
                engine
                    .all()
                    .map(|(name, count)| (format!("engine.{name}"), count)),
            )
            .chain(
                throttled
                    .iter()
                    .map(|(rule, count)| (format!("throttled.{}", rule.as_str()), *count)),
            )
            .chain(named("handshakes_failed", failed))
            .chain(named("api_limited", limited))
            .chain(named("shed", shed))
            .chain(named("refused", self.refused.all()))
            .chain(named("ended", self.ended.all()))
            .chain(named("paths_ended", paths_ended))
            .chain(
                Purpose::ALL
                    .into_iter()
                    .flat_map(|purpose| self.of(purpose)),
            )
            .collect()
    }

    /// Set-ups and live paths of one purpose, by name.
    fn of(&self, purpose: Purpose) -> impl Iterator<Item = (String, u64)> {
        let paired = ("PAIRED", &self.paired[purpose as usize]);
        let set_ups = [paired]
            .into_iter()
            .chain(self.unpaired[purpose as usize].all());
        let live = PathKind::ALL.map(|kind| (kind.as_str(), Self::live(kind, purpose)(self)));
        named("set_ups", set_ups)
            .chain(named("live_paths", live))
            .map(move |(name, count)| (format!("{name}.{}", purpose.as_str()), count))
    }
}

fn add(names: &[&str], counts: &[Count], name: &str) {
    if let Some((_, count)) = names.iter().zip(counts).find(|(other, _)| **other == name) {
        count.add(1);
    }
}

fn named<'a>(
    group: &'static str,
    counts: impl IntoIterator<Item = (impl Display, &'a Count)>,
) -> impl Iterator<Item = (String, u64)> {
    counts
        .into_iter()
        .map(move |(name, count)| (format!("{group}.{name}"), count.get()))
}
