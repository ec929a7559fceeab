//! The session as its owner sees it: paths come and go below, the local socket stands above (PROTOCOL.md §8).
use std::collections::VecDeque;
use std::time::Duration;

use telerelay_wire::ids::{SessionId, Stage};
use telerelay_wire::inner::Close;
use telerelay_wire::{Code, Moment, Reason, limits};

use crate::event::{Cause, Ended, Event};
use crate::incoming::Incoming;
use crate::mutant::Mutant;
use crate::outgoing::Outgoing;
use crate::path::{Path, PathKey, Progress};
use crate::proof::ResumeSecret;
use crate::role::Role;
use crate::timer::{Timer, Timers};
use crate::violation::Violation;

/// One end of a session. [`AgentSession`](crate::AgentSession) and [`ClientSession`](crate::ClientSession) add what
/// their role does.
#[derive(Debug)]
pub struct Session<R> {
    pub(crate) role: R,
    pub(crate) stage: Stage,
    pub(crate) id: Option<SessionId>,
    pub(crate) secret: ResumeSecret,
    pub(crate) resume_limit: Duration,
    /// The highest number of a path that carried this session.
    pub(crate) generation: u32,
    pub(crate) outgoing: Outgoing,
    pub(crate) incoming: Incoming,
    /// In the order in which they came up.
    pub(crate) paths: Vec<Path>,
    /// The path that everything is sent on: the newest that carries, or the first while it opens.
    pub(crate) sending: Option<PathKey>,
    pub(crate) timers: Timers,
    pub(crate) ack_due: bool,
    pub(crate) ping_due: bool,
    pub(crate) ping_token: u64,
    pub(crate) events: VecDeque<Event>,
    pub(crate) ended: bool,
    #[cfg(feature = "mutants")]
    mutant: Option<Mutant>,
}

/// How far both streams have come, in bytes from their beginnings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offsets {
    /// Read from the local socket.
    pub read: u64,
    /// Given to the sending path; steps back at a resume.
    pub sent: u64,
    /// Written by the other end, as far as it said so.
    pub acked: u64,
    /// Received in order.
    pub received: u64,
    /// Written to the local socket.
    pub written: u64,
    /// Written to the local socket, as far as the other end was told.
    pub written_told: u64,
}

impl<R: Role> Session<R> {
    pub(crate) fn with_first(
        role: R,
        secret: ResumeSecret,
        out: Outgoing,
        incoming: Incoming,
        path: Path,
        now: Moment,
    ) -> Self {
        let mut timers = Timers::new();
        timers.set(Timer::Ping, now + limits::PING_IDLE);
        Self {
            role,
            stage: Stage::Auth,
            id: None,
            secret,
            resume_limit: Duration::ZERO,
            generation: 0,
            outgoing: out,
            incoming,
            sending: Some(path.key),
            paths: vec![path],
            timers,
            ack_due: false,
            ping_due: false,
            ping_token: 0,
            events: VecDeque::new(),
            ended: false,
            #[cfg(feature = "mutants")]
            mutant: None,
        }
    }

    /// The same session with an error built in.
    #[cfg(feature = "mutants")]
    #[must_use]
    pub fn with_mutant(mut self, mutant: Mutant) -> Self {
        self.mutant = Some(mutant);
        self
    }

    /// How many bytes the local socket may be read for now. Zero is back-pressure: read again when this says more.
    pub fn room_for_local(&self) -> usize {
        if self.is_open() {
            self.outgoing.room()
        } else {
            0
        }
    }

    /// Takes bytes that the local socket gave: as many as there is room for, which is returned.
    pub fn local_bytes(&mut self, bytes: &[u8]) -> usize {
        if self.is_open() {
            self.outgoing.push(bytes)
        } else {
            0
        }
    }

    /// The local socket gave its last byte. The other direction goes on.
    pub fn local_eof(&mut self) {
        self.outgoing.close();
    }

    /// What waits for the local socket, in order, for one vectored write. After it call [`Self::written`].
    pub fn poll_deliver(&self) -> impl Iterator<Item = &[u8]> {
        self.incoming.waiting()
    }

    /// The local socket took the first `n` bytes of what waits.
    pub fn written(&mut self, n: usize, now: Moment) {
        self.incoming.wrote(n);
        self.note_written(now);
    }

    /// The connection under a path ended, with or without a word. The session may go on.
    pub fn path_lost(&mut self, path: PathKey, now: Moment) {
        self.paths.retain(|one| one.key != path);
        if self.sending == Some(path) {
            self.sending = None;
            self.disconnected(now);
        }
    }

    /// Ends the session at once with CLOSE(code).
    pub fn close(&mut self, code: impl Into<Reason>) {
        self.end(code.into(), Cause::Owner);
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.events.pop_front();
        if event.is_none() {
            // Events are rare and large; an idle session keeps no room for them.
            self.events = VecDeque::new();
        }
        event
    }

    /// The session's name, from OPENED on.
    pub fn id(&self) -> Option<SessionId> {
        self.id
    }

    /// How far the session has come.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// Whether [`Event::Ended`] was told, or waits to be.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// The path that everything is sent on.
    pub fn sending_path(&self) -> Option<PathKey> {
        self.sending
    }

    /// How far both streams have come.
    pub fn offsets(&self) -> Offsets {
        Offsets {
            read: self.outgoing.read(),
            sent: self.outgoing.sent(),
            acked: self.outgoing.acked(),
            received: self.incoming.received(),
            written: self.incoming.written(),
            written_told: self.incoming.acked(),
        }
    }

    /// Whether both streams may flow.
    pub(crate) fn is_open(&self) -> bool {
        self.stage == Stage::Session && !self.ended
    }

    pub(crate) fn index(&self, path: PathKey) -> Option<usize> {
        self.paths.iter().position(|one| one.key == path)
    }

    #[cfg_attr(
        not(feature = "mutants"),
        expect(
            clippy::unused_self,
            reason = "a session without the feature breaks nothing"
        )
    )]
    pub(crate) fn breaks(&self, mutant: Mutant) -> bool {
        #[cfg(feature = "mutants")]
        return self.mutant == Some(mutant);
        #[cfg(not(feature = "mutants"))]
        {
            let _ = mutant;
            false
        }
    }

    /// What ACK, RESUME and RESUMED say.
    pub(crate) fn count_written(&self) -> u64 {
        if self.breaks(Mutant::AckBeforeWrite) {
            self.incoming.received()
        } else {
            self.incoming.written()
        }
    }

    /// More was written, or it became known where the stream ends.
    pub(crate) fn note_written(&mut self, now: Moment) {
        if self.ended {
            return;
        }
        if self.incoming.take_shutdown() {
            self.events.push_back(Event::LocalShutdown);
        }
        let count = self.count_written();
        if self.incoming.is_ack_pressing(count) {
            self.ack_due = true;
            self.timers.clear(Timer::Ack);
        } else if count > self.incoming.acked() && !self.timers.is_set(Timer::Ack) {
            self.timers.set(Timer::Ack, now + limits::ACK);
        }
    }

    /// Adds a path, and gives up the least useful where there are too many.
    pub(crate) fn add_path(&mut self, path: Path) -> usize {
        debug_assert!(
            self.index(path.key).is_none(),
            "the key of a path is its own"
        );
        if self.paths.len() == limits::SESSION_PATHS {
            let rank = |path: &Path| match path.progress {
                Progress::Closing => 0,
                Progress::Older => 1,
                _ => 2,
            };
            let others = self
                .paths
                .iter()
                .enumerate()
                .filter(|(_, path)| Some(path.key) != self.sending);
            // The oldest of equals goes: its dial has hung the longest.
            if let Some((index, _)) = others.min_by_key(|(_, path)| rank(path)) {
                self.drop_path(index);
            }
        }
        self.paths.push(path);
        self.paths.len() - 1
    }

    /// Forgets a path other than the sending one, and tells so.
    pub(crate) fn drop_path(&mut self, index: usize) {
        let path = self.paths.remove(index).key;
        self.events.push_back(Event::PathLost { path });
    }

    /// From now on this path carries the session; each side replays what the other has not written. The frame that
    /// says so is also the first sign of life of the new sending path.
    pub(crate) fn carry(
        &mut self,
        index: usize,
        generation: u32,
        theirs: u64,
        now: Moment,
    ) -> Result<(), Violation> {
        self.outgoing.replay_from(theirs)?;
        if let Some(before) = self.sending.and_then(|key| self.index(key)) {
            self.retire(before, now);
        }
        let path = &mut self.paths[index];
        path.progress = Progress::Carrying;
        path.claims = None;
        path.deadline = Moment::NEVER;
        self.generation = generation;
        self.sending = Some(path.key);
        self.events.push_back(Event::Resumed {
            path: path.key,
            generation,
        });
        self.timers.clear(Timer::Limit);
        Ok(())
    }

    /// A newer path took this one's place. It is read for as long as something comes; the client, who dialled, ends it.
    pub(crate) fn retire(&mut self, index: usize, now: Moment) {
        let path = &mut self.paths[index];
        path.progress = Progress::Older;
        path.claims = None;
        path.deadline = now + limits::PING_LOST;
        if R::DIALS {
            self.events.push_back(Event::PathDone { path: path.key });
        }
    }

    /// Ends a path that has not shown that it may carry the session; the session goes on as it was.
    pub(crate) fn refuse(&mut self, index: usize, code: Code) {
        let path = &mut self.paths[index];
        path.out.put(Close {
            code: code.into(),
            stage: Stage::Open,
        });
        path.close();
        self.events.push_back(Event::PathDone { path: path.key });
    }

    /// The sending path is gone.
    pub(crate) fn disconnected(&mut self, now: Moment) {
        if self.ended {
            return;
        }
        if !self.is_open() || self.resume_limit.is_zero() {
            return self.end(Code::PathLost.into(), Cause::PathLost);
        }
        self.ping_due = false;
        for timer in [Timer::Ping, Timer::Parallel, Timer::Lost] {
            self.timers.clear(timer);
        }
        let until = now + self.resume_limit;
        self.timers.set(Timer::Limit, until);
        self.events.push_back(Event::Disconnected { until });
    }

    /// Ends the session and says so to the other end: on the path that carries it, else on those that would.
    pub(crate) fn end(&mut self, code: Reason, cause: Cause) {
        if self.ended {
            return;
        }
        let close = Close {
            code,
            stage: self.stage,
        };
        for path in &mut self.paths {
            let heard = match self.sending {
                Some(sending) => path.key == sending,
                None => path.is_unproven(),
            };
            if heard {
                path.out.put(close.clone());
            }
        }
        self.settle_end(close, cause);
    }

    /// The other end's CLOSE ended the session.
    pub(crate) fn ended_by_peer(&mut self, close: Close) {
        self.settle_end(close, Cause::Peer);
    }

    fn settle_end(&mut self, close: Close, cause: Cause) {
        self.ended = true;
        self.timers = Timers::new();
        self.paths.iter_mut().for_each(Path::close);
        self.events.push_back(Event::Ended(Ended {
            code: close.code,
            stage: close.stage,
            cause,
        }));
    }
}
