//! One end of a session with the program in front of it: local bytes in and out, records out, and what must hold of both.
use telerelay_session::{Cause, Ended, Event as Told, PathKey, Role, Session};
use telerelay_wire::{Code, Moment, limits};

use crate::agenda::{Event, Who};
use crate::endpoint::Legs;
use crate::invariants;
use crate::ledger::{SessionBook, StreamBook};
use crate::local::Program;
use crate::scene::Scene;
use crate::stream::PIECE;

/// Ciphertext that waits for the network at most, beyond one record.
const BACKLOG: usize = 131_072;
/// A record with its wrappings, and the last words of a path.
const MOST_BACKLOG: usize = BACKLOG + 3 * 16_500;

/// Which end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seat {
    Office,
    Home,
}

impl Seat {
    /// What this end gives, and what it writes.
    fn streams(self, book: &mut SessionBook) -> (&mut StreamBook, &mut StreamBook) {
        match self {
            Self::Office => (&mut book.screen, &mut book.input),
            Self::Home => (&mut book.input, &mut book.screen),
        }
    }

    fn windows(self) -> (u64, u64) {
        match self {
            Self::Office => (limits::WINDOW_SCREEN, limits::WINDOW_INPUT),
            Self::Home => (limits::WINDOW_INPUT, limits::WINDOW_SCREEN),
        }
    }

    /// The code with which a session ends whose program is gone.
    fn gone(self) -> Code {
        match self {
            Self::Office => Code::DesktopLost,
            Self::Home => Code::ViewerGone,
        }
    }
}

/// One end of a session.
#[derive(Debug)]
pub(crate) struct Desk<R: Role> {
    pub(crate) session: Session<R>,
    pub(crate) program: Option<Program>,
    pub(crate) ended: Option<Ended>,
    seat: Seat,
    who: Who,
    slot: u64,
    /// The path that carries the session, and its generation.
    newest: PathKey,
    generation: u32,
    has_told_eof: bool,
}

impl<R: Role> Desk<R> {
    pub(crate) fn new(
        session: Session<R>,
        seat: Seat,
        who: Who,
        slot: u64,
        path: PathKey,
    ) -> Self {
        Self {
            session,
            program: None,
            ended: None,
            seat,
            who,
            slot,
            newest: path,
            generation: 0,
            has_told_eof: false,
        }
    }

    /// Moves bytes between session and program. Whether any moved.
    pub(crate) fn turn(&mut self, scene: &mut Scene) -> bool {
        if self.session.id().is_none() || self.program.is_none() {
            return false;
        }
        let moved = self.read_local(scene) + self.write_local(scene);
        self.arrange_next_turn(scene);
        moved > 0
    }

    fn read_local(&mut self, scene: &mut Scene) -> usize {
        let (Some(id), Some(program)) = (self.session.id(), &mut self.program) else {
            return 0;
        };
        if self.session.is_ended() {
            return 0;
        }
        if program.is_closed {
            self.session.close(self.seat.gone());
            return 1;
        }
        let mut moved = 0;
        loop {
            let available = usize::try_from(program.available()).unwrap_or(usize::MAX);
            let length = self.session.room_for_local().min(available).min(PIECE);
            if length == 0 {
                break;
            }
            let (gives, _) = self.seat.streams(scene.ledger.session(id));
            let bytes = scene.pattern.bytes(gives.pattern, gives.given, length);
            let taken = self.session.local_bytes(bytes);
            gives.given += taken as u64;
            program.read += taken as u64;
            moved += taken;
        }
        if self.seat == Seat::Office {
            scene.check(invariants::the_desktop_is_read_only_while_little_is_unsent(
                self.session.offsets(),
                moved as u64,
            ));
        }
        if program.is_drained() && !std::mem::replace(&mut self.has_told_eof, true) {
            self.session.local_eof();
            moved += 1;
        }
        moved
    }

    fn write_local(&mut self, scene: &mut Scene) -> usize {
        let (Some(id), Some(program)) = (self.session.id(), &mut self.program) else {
            return 0;
        };
        let mut room = usize::try_from(program.room()).unwrap_or(usize::MAX);
        let book = scene.ledger.session(id);
        let other = match self.seat {
            Seat::Office => book.input.given,
            Seat::Home => book.screen.given,
        };
        let (_, writes) = self.seat.streams(book);
        let mut verdict = Ok(());
        let mut moved = 0;
        for waiting in self.session.poll_deliver() {
            let length = waiting.len().min(room);
            let found = &waiting[..length];
            for (index, part) in found.chunks(PIECE).enumerate() {
                let offset = writes.written + (moved + index * PIECE) as u64;
                let expected = scene.pattern.bytes(writes.pattern, offset, part.len());
                verdict = verdict.and_then(|()| {
                    invariants::bytes_arrive_once_and_in_order(offset, part, expected)
                });
            }
            moved += length;
            room -= length;
            if room == 0 {
                break;
            }
        }
        writes.written += moved as u64;
        program.given += moved as u64;
        let written = writes.written;
        self.session.written(moved, scene.now);
        scene.check(verdict);
        scene.check(invariants::nothing_arrives_that_was_not_given(
            written, other,
        ));
        moved
    }

    fn arrange_next_turn(&mut self, scene: &mut Scene) {
        if let Some(program) = &mut self.program
            && let Some(at) = program.next_turn(scene.now, &mut scene.dice)
        {
            scene.agenda.at(at, Event::Program(self.who, self.slot));
        }
    }

    /// Hands records to a path until there are none or it has enough. Whether there were any.
    pub(crate) fn transmit<K: Copy + Ord + Into<telerelay_outer::LegKey>>(
        &mut self,
        legs: &mut Legs<K>,
        leg: K,
        scene: &mut Scene,
    ) -> bool {
        let mut has_moved = false;
        while !legs.is_leaving(leg)
            && let Some((wire, path)) = legs.path(leg)
            && wire.backlog() < BACKLOG
        {
            let key = path.key;
            let Some(record) = self.session.poll_transmit(key, scene.now) else {
                break;
            };
            let [head, first, second] = record.parts();
            let is_data = !first.is_empty();
            path.send(wire, &[head, first, second]);
            has_moved = true;
            scene.check(invariants::buffers_are_bounded(
                "an endpoint's output",
                wire.backlog(),
                MOST_BACKLOG,
            ));
            if is_data {
                scene.check(invariants::data_goes_by_the_newest_path(
                    key.0,
                    Some(self.newest.0),
                ));
            }
            legs.flush(leg, scene);
        }
        has_moved
    }

    /// What every owner does with an event.
    pub(crate) fn heed(&mut self, told: &Told, scene: &mut Scene) {
        match told {
            Told::Resumed { path, generation } => {
                scene.check(invariants::an_older_generation_never_carries(
                    self.generation,
                    *generation,
                ));
                scene.note(self.who, "resumed", [path.0, (*generation).into()], || {
                    format!("by path {} as generation {generation}", path.0)
                });
                scene.ledger.count("resumed");
                (self.generation, self.newest) = (*generation, *path);
            }
            Told::LocalShutdown => {
                if let Some(program) = &mut self.program {
                    program.shut();
                }
            }
            Told::Disconnected { .. } => {
                scene.note(self.who, "disconnected", [self.slot, 0], String::new);
            }
            Told::Ended(ended) => self.has_ended(ended, scene),
            _ => {}
        }
    }

    fn has_ended(&mut self, ended: &Ended, scene: &mut Scene) {
        scene.check(invariants::one_end_per_session(self.ended.is_some()));
        scene.note(self.who, "session ended", [self.slot, 0], || {
            format!("{} at {} by {:?}", ended.code, ended.stage, ended.cause)
        });
        self.ended = Some(ended.clone());
        if let Cause::Violation(violation) = ended.cause {
            let said = format!("{:?} says: {violation}", self.who);
            scene.check(invariants::nobody_breaks_the_protocol(
                Some(Code::SessionProtocol),
                &said,
            ));
        }
        if ended.cause == Cause::Finished
            && let Some(id) = self.session.id()
        {
            scene.ledger.count("sessions done");
            let SessionBook { screen, input } = *scene.ledger.session(id);
            for stream in [screen, input] {
                scene.check(invariants::done_means_that_all_arrived(
                    stream.given,
                    stream.written,
                ));
            }
        }
    }

    /// The session's next timeout.
    pub(crate) fn next_timeout(&self) -> Option<Moment> {
        self.session.next_timeout()
    }

    pub(crate) fn timeout(&mut self, scene: &mut Scene) {
        self.session.timeout(scene.now);
        scene.check(invariants::timers_move_on(
            self.session.next_timeout(),
            scene.now,
        ));
    }

    /// What holds of one end of a session at every step.
    pub(crate) fn judge(&self, scene: &mut Scene) {
        let Some(id) = self.session.id() else {
            return;
        };
        let offsets = self.session.offsets();
        let book = scene.ledger.session(id);
        let (theirs, mine) = match self.seat {
            Seat::Office => (book.screen.written, book.input.written),
            Seat::Home => (book.input.written, book.screen.written),
        };
        let (outgoing, incoming) = self.seat.windows();
        scene.check(invariants::nothing_is_acknowledged_unwritten(
            offsets.written_told,
            mine,
        ));
        scene.check(invariants::nothing_is_acknowledged_unwritten(
            offsets.acked,
            theirs,
        ));
        scene.check(invariants::the_window_is_kept(offsets, outgoing, incoming));
    }
}
