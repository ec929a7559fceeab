//! One end of a session with the program in front of it: local bytes in and out, records out, and what must hold of both.
use telerelay_outer::LegKey;
use telerelay_session::{Cause, Ended, Event as Told, PathKey, Role, Session, Timer};
use telerelay_wire::frame::{HEADER, Header, Layer};
use telerelay_wire::inner::{Frame, Inner};
use telerelay_wire::{Code, Moment, limits};

use crate::agenda::{Event, Who};
use crate::endpoint::Legs;
use crate::invariants;
use crate::ledger::{SessionBook, StreamBook, Waits};
use crate::local::Program;
use crate::scene::Scene;
use crate::story::What;
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
    program: Option<Program>,
    pub(crate) ended: Option<Ended>,
    seat: Seat,
    who: Who,
    slot: u64,
    /// The path that carries the session, and its generation.
    newest: PathKey,
    generation: u32,
    has_told_eof: bool,
    /// What paths that open wait for.
    waits: Waits,
    /// The paths on which FIN and CLOSE were said last.
    fin_said: Option<PathKey>,
    close_said: Option<PathKey>,
    /// The other side's stream is written to its end.
    is_shut: bool,
    /// Since when bytes are written that the other end was not told of.
    untold: Option<Moment>,
    /// Since when no path carries the session.
    disconnected: Option<Moment>,
}

impl<R: Role> Desk<R> {
    pub(crate) fn new(session: Session<R>, seat: Seat, who: Who, slot: u64, path: PathKey) -> Self {
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
            waits: Waits::default(),
            fin_said: None,
            close_said: None,
            is_shut: false,
            untold: None,
            disconnected: None,
        }
    }

    /// The program connects.
    pub(crate) fn attach(&mut self, mut program: Program) {
        if self.is_shut {
            // A viewer may come when the desktop has said everything.
            program.shut();
        }
        self.program = Some(program);
    }

    /// The program does something.
    pub(crate) fn program_turn(&mut self, scene: &mut Scene) {
        if let Some(program) = &mut self.program {
            program.turn(scene.now, &mut scene.dice);
        }
    }

    /// Moves bytes between session and program. Whether any moved.
    pub(crate) fn turn(&mut self, scene: &mut Scene) -> bool {
        if self.session.id().is_none() || self.program.is_none() {
            return false;
        }
        let moved = self.read_local(scene) + self.write_local(scene);
        self.arrange_next_turn(scene);
        if moved > 0 {
            self.has_moved(scene);
        }
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
            gives.gives(taken as u64);
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
            let (gives, _) = self.seat.streams(scene.ledger.session(id));
            gives.is_over = true;
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
    pub(crate) fn transmit<K: Copy + Ord + Into<LegKey>>(
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
            path.send(wire, &record.parts());
            has_moved = true;
            let head = record.parts()[0].to_vec();
            scene.check(invariants::buffers_are_bounded(
                "an endpoint's output",
                wire.backlog(),
                MOST_BACKLOG,
            ));
            self.overhear(key, &head, scene);
            legs.flush(leg, scene);
        }
        has_moved
    }

    /// What is left is said on a path that is about to be left.
    pub(crate) fn last_words<K: Copy + Ord + Into<LegKey>>(
        &mut self,
        legs: &mut Legs<K>,
        leg: K,
        scene: &mut Scene,
    ) {
        self.transmit(legs, leg, scene);
        let is_own_end = self
            .ended
            .as_ref()
            .is_some_and(|ended| !matches!(ended.cause, Cause::Peer | Cause::PathLost));
        if is_own_end
            && let Some((wire, path)) = legs.path(leg)
            && path.key == self.newest
            && wire.backlog() < BACKLOG
        {
            scene.check(invariants::whoever_ends_a_session_says_so(
                self.close_said,
                self.newest,
            ));
        }
    }

    /// A path is closed.
    pub(crate) fn path_lost(&mut self, path: PathKey, scene: &Scene) {
        self.waits.end(path);
        self.session.path_lost(path, scene.now);
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
                let generation = *generation;
                scene.saw(self.who, What::Resumed { generation });
                (self.generation, self.newest) = (generation, *path);
                (self.disconnected, self.untold) = (None, None);
                self.waits.end(*path);
                self.has_moved(scene);
            }
            Told::LocalShutdown => {
                self.is_shut = true;
                if let Some(program) = &mut self.program {
                    program.shut();
                }
                self.local_shut(scene);
            }
            Told::Disconnected { .. } => {
                scene.note(self.who, "disconnected", [self.slot, 0], String::new);
                scene.saw(self.who, What::Disconnected);
                self.disconnected = Some(scene.now);
            }
            Told::ConnectDesktop { .. } => {
                self.waits
                    .begin(self.newest, "the desktop", limits::DESKTOP, scene.now);
            }
            Told::Notice(_) | Told::Opened(_) => self.waits.end(self.newest),
            Told::PathDone { path } => self.waits.end(*path),
            Told::PathLost { path } => {
                self.waits.end(*path);
                if *path == self.newest {
                    scene.saw(self.who, What::PathLost);
                    scene.check(invariants::a_living_path_is_not_given_up(
                        path.0,
                        scene.is_calm(),
                    ));
                }
            }
            Told::Ended(ended) => self.has_ended(ended, scene),
            _ => {}
        }
    }

    fn local_shut(&mut self, scene: &mut Scene) {
        let Some(id) = self.session.id() else {
            return;
        };
        let book = scene.ledger.session(id);
        let stream = match self.seat {
            Seat::Office => book.input,
            Seat::Home => book.screen,
        };
        scene.check(invariants::the_local_socket_is_shut_behind_the_last_byte(
            stream.written,
            stream.given,
            stream.is_over,
        ));
    }

    fn has_moved(&mut self, scene: &mut Scene) {
        if let Some(id) = self.session.id() {
            scene.ledger.session(id).moved = scene.now;
        }
    }

    /// What a record says, as far as a rule can judge it.
    fn overhear(&mut self, path: PathKey, head: &[u8], scene: &mut Scene) {
        let mut rest = head;
        while let Some(header) = Header::parse(rest) {
            let Some(body) = rest.get(HEADER..HEADER + usize::from(header.length)) else {
                // DATA, whose bytes stand elsewhere.
                self.overhear_stream(path, "DATA", scene);
                return;
            };
            rest = &rest[HEADER + body.len()..];
            match Inner::decode(header.kind, body) {
                Ok(frame) => self.overhear_frame(path, &frame, scene),
                Err(error) => {
                    let said = format!("{:?} says what is no frame: {error}", self.who);
                    let code = Some(Code::SessionProtocol);
                    scene.check(invariants::nobody_breaks_the_protocol(code, &said));
                }
            }
        }
    }

    fn overhear_frame(&mut self, path: PathKey, frame: &Frame<'_>, scene: &mut Scene) {
        let name = frame.name();
        scene.note(self.who, "says", [path.0, frame.kind().into()], || {
            format!("{frame:?} on path {}", path.0)
        });
        if !matches!(frame, Frame::Ack(_)) {
            scene.saw(self.who, What::Said(name));
        }
        let written = self.session.id().map(|id| {
            let book = scene.ledger.session(id);
            match self.seat {
                Seat::Office => book.input.written,
                Seat::Home => book.screen.written,
            }
        });
        let written = written.unwrap_or(0);
        self.waits.says(path, frame, scene.now);
        match frame {
            Frame::Ack(ack) => {
                scene.check(invariants::nothing_is_acknowledged_unwritten(
                    ack.offset, written,
                ));
                self.overhear_stream(path, name, scene);
            }
            Frame::Fin(_) => {
                self.fin_said = Some(path);
                self.overhear_stream(path, name, scene);
            }
            Frame::Ping(_) => self.overhear_stream(path, name, scene),
            Frame::Close(_) => self.close_said = Some(path),
            Frame::ResumeAsk(ask) => {
                scene.check(invariants::resuming_begins_at_what_was_written(
                    ask.received,
                    written,
                ));
                scene.ledger.requests.resumes(ask);
            }
            Frame::Resumed(resumed) => {
                scene.check(invariants::resuming_begins_at_what_was_written(
                    resumed.received,
                    written,
                ));
            }
            _ => {}
        }
    }

    fn overhear_stream(&self, path: PathKey, name: &str, scene: &mut Scene) {
        scene.check(invariants::streams_go_by_the_newest_path(
            path.0,
            self.newest.0,
            name,
        ));
    }

    fn has_ended(&mut self, ended: &Ended, scene: &mut Scene) {
        scene.check(invariants::one_end_per_session(self.ended.is_some()));
        let (code, stage) = (ended.code.clone(), ended.stage);
        scene.saw(self.who, What::SessionEnded { code, stage });
        scene.note(self.who, "session ended", [self.slot, 0], || {
            format!("{} at {} by {:?}", ended.code, ended.stage, ended.cause)
        });
        self.ended = Some(ended.clone());
        self.waits.clear();
        if matches!(ended.cause, Cause::PathLost | Cause::Timeout(Timer::Limit))
            && let Some(id) = self.session.id()
        {
            let limit = scene.ledger.session(id).limit;
            let since = self.disconnected.unwrap_or(scene.now);
            scene.check(invariants::a_session_outlives_its_path(
                since, scene.now, limit,
            ));
        }
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
            let SessionBook { screen, input, .. } = *scene.ledger.session(id);
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
        scene.check(self.waits.judge(scene.now));
        let Some(id) = self.session.id() else {
            return;
        };
        let offsets = self.session.offsets();
        let book = scene.ledger.session(id);
        let (theirs, mine) = match self.seat {
            Seat::Office => (book.screen.written, book.input.written),
            Seat::Home => (book.input.written, book.screen.written),
        };
        let limit = book.limit;
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
        if let Some(since) = self.disconnected.filter(|_| !self.session.is_ended()) {
            scene.check(invariants::a_session_ends_at_its_limit(
                since, scene.now, limit,
            ));
        }
    }

    /// What holds of the path that carries it.
    pub(crate) fn judge_path<K: Copy + Ord + Into<LegKey>>(
        &self,
        legs: &Legs<K>,
        scene: &mut Scene,
    ) {
        if let Some(path) = self.session.sending_path()
            && !self.session.is_ended()
            && let Some(connection) = legs.connection_of(path)
            && let Some(silent) = scene.network.hole_since(connection)
        {
            scene.check(invariants::a_silent_path_is_lost_in_time(silent, scene.now));
        }
    }

    /// Everything that this end has to say and that the path takes has left: what was said? Notes since when the other end is
    /// to be told of bytes.
    pub(crate) fn judge_told<K: Copy + Ord + Into<LegKey>>(
        &mut self,
        legs: &Legs<K>,
        scene: &mut Scene,
    ) {
        let offsets = self.session.offsets();
        let open = self
            .session
            .sending_path()
            .filter(|&path| !self.session.is_ended() && legs.is_open_for(path));
        if let Some(path) = open
            && self.has_told_eof
            && offsets.sent == offsets.read
        {
            scene.check(invariants::the_end_of_a_stream_is_said_on_the_newest_path(
                self.fin_said,
                path,
            ));
        }
        if open.is_some() && offsets.written > offsets.written_told {
            let since = *self.untold.get_or_insert(scene.now);
            scene.check(invariants::an_acknowledgement_leaves_in_time(
                since, scene.now,
            ));
        } else {
            self.untold = None;
        }
    }

    /// Why this end ought to move, if it ought to.
    pub(crate) fn has_to_do(&self, book: &SessionBook) -> Option<&'static str> {
        let (gives, writes) = match self.seat {
            Seat::Office => (book.screen, book.input),
            Seat::Home => (book.input, book.screen),
        };
        let program = self.program.as_ref()?;
        if book.is_complete() {
            Some("both sides have said and got everything")
        } else if writes.is_over && writes.given == writes.written && !program.is_shut() {
            Some("the local socket took the whole stream and is not shut down")
        } else if writes.given > writes.written && program.room() > 0 {
            Some("the local socket takes bytes that the other one gave")
        } else if program.available() > 0 && gives.given == gives.written {
            Some("the local socket gives bytes, and all before them are written")
        } else {
            None
        }
    }
}
