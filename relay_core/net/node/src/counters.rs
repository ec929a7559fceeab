//! What a node counts; read by metrics, never reset.
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use telerelay_engine::Counts;
use telerelay_leg::accept::AcceptError;
use telerelay_leg::plain::PlainError;
use telerelay_outer::door::Step;
use telerelay_outer::{PathKind, Traffic};
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
    /// Paths that carry something now, by what they are.
    live: [Count; PathKind::ALL.len()],
    /// Paths that were joined.
    pub(crate) paths_joined: Count,
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
    pub(crate) fn ended(&self, reason: &Reason) {
        self.ended.count(reason);
    }

    /// The gauge of the live paths of a kind.
    pub(crate) const fn live(kind: PathKind) -> fn(&Self) -> &Count {
        match kind {
            PathKind::Wrapped => |counters| &counters.live[0],
            PathKind::Mixed => |counters| &counters.live[1],
            PathKind::Direct => |counters| &counters.live[2],
        }
    }

    pub(crate) fn carried(&self, traffic: Traffic) {
        self.bytes_to_client.add(traffic.to_client);
        self.bytes_to_agent.add(traffic.to_agent);
    }

    /// Every counter by its name, those by reason or code and the engine's too; zero from the start.
    pub(crate) fn all(&self, engine: &Counts) -> Vec<(String, u64)> {
        let plain = [
            ("accepted", &self.accepted),
            ("connections", &self.connections),
            ("handshaking", &self.handshaking),
            ("guests_evicted", &self.guests_evicted),
            ("handshakes_delayed", &self.handshakes_delayed),
            ("handshakes", &self.handshakes),
            ("paths_joined", &self.paths_joined),
            ("api_open", &self.api_open),
            ("api_identified", &self.api_identified),
            ("api_evicted", &self.api_evicted),
            ("api_full", &self.api_full),
            ("accept_pauses", &self.accept_pauses),
            ("mailbox_overflows", &self.mailbox_overflows),
            ("panics", &self.panics),
        ];
        // What a path carried before it was direct, and then.
        let carried = [
            (
                "bytes_to_client",
                self.bytes_to_client.get() + engine.bytes_to_client,
            ),
            (
                "bytes_to_agent",
                self.bytes_to_agent.get() + engine.bytes_to_agent,
            ),
        ];
        let failed = AcceptError::NAMES.iter().zip(&self.handshakes_failed);
        let limited = PlainError::LIMITS.iter().zip(&self.api_limited);
        let shed = Step::ALL.map(Step::as_str).into_iter().zip(&self.shed);
        let live = PathKind::ALL
            .map(PathKind::as_str)
            .into_iter()
            .zip(&self.live);
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
            .chain(named(
                "handshakes_failed",
                failed.map(|(name, count)| (*name, count)),
            ))
            .chain(named(
                "api_limited",
                limited.map(|(name, count)| (*name, count)),
            ))
            .chain(named("shed", shed))
            .chain(named("live_paths", live))
            .chain(named("refused", self.refused.all()))
            .chain(named("ended", self.ended.all()))
            .collect()
    }
}

fn add(names: &[&str], counts: &[Count], name: &str) {
    if let Some((_, count)) = names.iter().zip(counts).find(|(other, _)| **other == name) {
        count.add(1);
    }
}

fn named<'a>(
    group: &'static str,
    counts: impl IntoIterator<Item = (&'a str, &'a Count)>,
) -> impl Iterator<Item = (String, u64)> {
    counts
        .into_iter()
        .map(move |(name, count)| (format!("{group}.{name}"), count.get()))
}
