//! Moves a session: socket ↔ outer TLS ↔ inner TLS ↔ session ↔ local socket, driven by readiness (PROTOCOL.md §7, §8).
//!
//! The path is always read, whatever the local side does: back-pressure is the window's business. Nothing here waits while there
//! is something to do, and no turn moves more than [`limits::TURN_BYTES`] before other tasks have theirs.
//!
//! A direct leg is on trial from its SWITCH to the first raw record that verifies. Nothing of the session is carried meanwhile, so
//! that a path which does not prove itself is asked for again without a byte lost or repeated (PROTOCOL.md §6).
use std::io;

use rustls::{Connection, NamedGroup};
use telerelay_guard::rfb::Refusal;
use telerelay_outer::PathKind;
use telerelay_session::{Cause, Ended, Event, PathKey, Role, Session};
use telerelay_wire::ids::Stage;
use telerelay_wire::{Code, Moment, limits};
use tokio::io::Ready;
use tokio::net::TcpStream;
use tokio::task::coop::consume_budget;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until, timeout};

use crate::attached::Attached;
use crate::clock::Clock;
use crate::connection::Leg;
use crate::local::Local;
use crate::path_socket::{interest, leave, write_socket};
use crate::stack::{Stack, StackError};

/// One path is all that a session has here.
pub(crate) const PATH: PathKey = PathKey(0);

/// What a session's path is at this end: nothing is carried by a direct leg before both of its directions are raw.
pub(crate) fn kind_of(direct: bool) -> PathKind {
    if direct {
        PathKind::Direct
    } else {
        PathKind::Wrapped
    }
}

/// What the role adds to a session that runs.
pub(crate) trait Side<R: Role>: Send {
    /// What it waits for.
    type Wake: Send;
    /// Something that the session wants of its owner.
    fn event(&mut self, session: &mut Session<R>, event: Event);
    /// The session got to another stage.
    fn reached(&mut self, stage: Stage);
    /// The path broke. `unproven`: this end's leg is direct and did not prove itself.
    fn path_gone(&mut self, error: &StackError, unproven: bool);
    /// The other end's stream was written to its end; the local side is told so.
    fn local_shut(&mut self);
    /// The local side gave its last byte, or broke.
    fn local_over(&mut self, session: &mut Session<R>, broken: bool);
    /// Bytes moved, or time passed.
    fn turned(&mut self, session: &mut Session<R>);
    /// The session has ended; its last words are still to leave.
    fn over(&mut self);
    /// Waits for the local side, or for an order. Must be safe to drop at any time.
    fn wait(&mut self) -> impl Future<Output = Self::Wake> + Send;
    /// What [`wait`](Self::wait) gave. The local side, where it is there.
    fn woken(&mut self, session: &mut Session<R>, wake: Self::Wake) -> Option<Attached>;
}

/// A path above whose inner TLS both ends are authenticated.
pub(crate) struct Secured {
    socket: TcpStream,
    stack: Stack,
    /// Until when a direct leg has to prove itself.
    proof_due: Instant,
    /// What came behind the handshake already.
    early: Vec<u8>,
}

/// How a session ended; the machine still knows what it carried.
#[derive(Debug)]
pub(crate) struct Outcome<R> {
    pub(crate) ended: Ended,
    pub(crate) session: Session<R>,
    /// Whoever was let in to a session that its path did not live to carry.
    pub(crate) unserved: Option<Local>,
    /// What the guard refused.
    pub(crate) refused: Option<Refusal>,
}

impl Secured {
    /// Runs the inner handshake on a leg that has become a path. `direct`: SWITCH stands behind its last flight, which leaves with
    /// the first turn of [`run`](Self::run).
    pub(crate) async fn handshake(
        leg: Leg,
        inner: Connection,
        direct: bool,
    ) -> Result<Self, StackError> {
        let Leg {
            socket,
            tls,
            frames,
        } = leg;
        let stack = Stack::new(tls, frames, inner)?;
        let mut secured = Self {
            socket,
            stack,
            proof_due: Instant::now(),
            early: Vec::new(),
        };
        let result = timeout(limits::INNER_HANDSHAKE, secured.shake_hands(direct))
            .await
            .unwrap_or(Err(StackError::Silent));
        if result.is_err() {
            secured.say_goodbye().await;
        }
        result.map(|()| secured)
    }

    async fn shake_hands(&mut self, direct: bool) -> Result<(), StackError> {
        loop {
            let early = &mut self.early;
            self.stack
                .receive(|plaintext| early.extend_from_slice(plaintext))?;
            if !self.stack.is_handshaking() {
                break;
            }
            write_socket(&self.socket, &mut self.stack)?;
            self.socket.ready(interest(&self.stack)).await?;
            match self
                .socket
                .try_read_buf(self.stack.read_buffer(limits::LOCAL_READ))
            {
                Ok(0) => return Err(StackError::Closed),
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error.into()),
                _ => {}
            }
            // A node that never stops sending must not starve the other tasks of this thread, nor the time that this may take.
            consume_budget().await;
        }
        if !self.stack.has_inner_protocol() {
            return Err(StackError::Inner(rustls::Error::NoApplicationProtocol));
        }
        if direct {
            self.stack.switch()?;
            self.proof_due = Instant::now() + limits::SWITCH;
        }
        Ok(())
    }

    /// Sends what is left, the alert above all.
    async fn say_goodbye(&mut self) {
        let Self { socket, stack, .. } = self;
        // A path that takes no more bytes gets none: the other end finds out by its own timers.
        let _in_time = timeout(limits::LINGER, leave(socket, stack)).await;
    }

    /// The group that inner TLS negotiated.
    pub(crate) fn group(&self) -> Option<NamedGroup> {
        self.stack.group()
    }

    /// The exporter of the session's resume secret (PROTOCOL.md §7).
    pub(crate) fn resume_secret(&self) -> Result<[u8; 32], StackError> {
        self.stack.export(b"EXPORTER-telerelay-resume")
    }

    /// Runs a session on this path to its end.
    pub(crate) async fn run<R: Role, S: Side<R>>(
        self,
        session: Session<R>,
        side: S,
        clock: Clock,
    ) -> (Outcome<R>, S)
    where
        Session<R>: Send,
    {
        let Self {
            socket,
            stack,
            proof_due,
            early,
        } = self;
        let mut pump = Pump {
            socket,
            stack,
            proof_due,
            session,
            side,
            clock,
            local: None,
            stage: Stage::Inner,
            withheld: false,
            ended: None,
        };
        pump.session.received(PATH, &early, clock.now());
        if let Err(error) = pump.turns().await {
            pump.path_broke(&error);
        }
        pump.finish().await
    }
}

struct Pump<R: Role, S> {
    socket: TcpStream,
    stack: Stack,
    proof_due: Instant,
    session: Session<R>,
    side: S,
    clock: Clock,
    local: Option<Attached>,
    /// The last stage that the side was told.
    stage: Stage,
    /// The answer to this end's first raw words came wrapped: the node withholds its SWITCH.
    withheld: bool,
    ended: Option<Ended>,
}

impl<R: Role, S: Side<R>> Pump<R, S> {
    /// Turns until the session has ended and its last words have left. An error: the path is gone.
    async fn turns(&mut self) -> Result<(), StackError> {
        let mut buffer = vec![0; limits::LOCAL_READ];
        loop {
            let mut moved = self.read_local(&mut buffer)?;
            moved |= self.write_path()?;
            moved |= self.read_path()?;
            self.time_passed();
            self.heed_events();
            if self.withheld || self.is_proof_late() {
                return Err(StackError::Unproven);
            }
            moved |= self.write_local();
            // Behind all that may have changed what the viewer waits for, or what there is room for.
            moved |= self.draw();
            self.side.turned(&mut self.session);
            self.heed_events();
            moved |= self.write_path()?;
            if self.ended.is_some() {
                return Ok(());
            }
            if moved {
                self.give_way().await;
            } else {
                self.wait().await?;
            }
        }
    }

    fn time_passed(&mut self) {
        let now = self.clock.now();
        self.session.timeout(now);
        if let Some(attached) = &mut self.local {
            attached.timeout(&mut self.session, now);
        }
    }

    fn is_proof_late(&self) -> bool {
        self.stack.is_on_trial() && Instant::now() >= self.proof_due
    }

    /// Lets other tasks have their turn. However much the path brings: what the side waits for comes first.
    async fn give_way(&mut self) {
        tokio::select! {
            biased;
            wake = self.side.wait() => self.woken(wake),
            () = yield_now() => {}
        }
    }

    fn woken(&mut self, wake: S::Wake) {
        if let Some(attached) = self.side.woken(&mut self.session, wake) {
            self.local = Some(attached);
        }
    }

    /// The path broke. Where the socket did, what the other end had said before is heard, CLOSE above all: writing fails first.
    fn path_broke(&mut self, error: &StackError) {
        if matches!(error, StackError::Socket(_)) {
            while let Ok(true) = self.read_path() {}
        }
        self.heed_events();
        if self.ended.is_some() {
            return;
        }
        let unproven = self.stack.is_on_trial() && !error.is_word();
        tracing::debug!(%error, unproven, "the path is gone");
        self.side.path_gone(error, unproven);
        self.session.path_lost(PATH, self.clock.now());
        self.heed_events();
    }

    /// Waits until there is something to do.
    async fn wait(&mut self) -> Result<(), StackError> {
        let Self {
            socket,
            stack,
            session,
            side,
            clock,
            local,
            proof_due,
            ..
        } = &mut *self;
        let is_read = local
            .as_ref()
            .is_some_and(|attached| attached.wants_read(session));
        let is_written = local
            .as_ref()
            .is_some_and(|attached| attached.wants_write(session));
        let moments = [
            session.next_timeout(),
            local.as_ref().and_then(Attached::next_timeout),
        ];
        let due = async {
            match moments.into_iter().flatten().min() {
                Some(moment) => sleep_until(clock.instant(moment)).await,
                None => std::future::pending().await,
            }
        };
        let proof_due = async {
            if stack.is_on_trial() {
                sleep_until(*proof_due).await;
            } else {
                std::future::pending::<()>().await;
            }
        };
        let watched = local.as_ref().and_then(Attached::watched);
        let local_ready = async {
            match watched {
                Some(local) => local.ready(is_read, is_written).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            ready = socket.ready(interest(stack)) => drop(ready?),
            ready = local_ready => {
                // An error shows again when the stream is read; nobody reads it while the window is full.
                if !is_read && ready.is_ok_and(Ready::is_error) {
                    self.local_broke();
                }
            }
            () = due => {}
            () = proof_due => {}
            wake = side.wait() => self.woken(wake),
        }
        Ok(())
    }

    /// The local side is gone with whatever it was owed.
    fn local_broke(&mut self) {
        if let Some(attached) = &mut self.local {
            attached.broke();
            self.side.local_over(&mut self.session, true);
        }
    }

    fn heed_events(&mut self) {
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::Ended(ended) => self.ended = Some(ended),
                // It may live on without a path, for a while: whoever made it says so. Nothing here dials a second one.
                Event::Disconnected { .. } => {
                    self.ended.get_or_insert(Ended {
                        code: Code::PathLost.into(),
                        stage: self.session.stage(),
                        cause: Cause::PathLost,
                    });
                }
                Event::LocalShutdown => {
                    if let Some(attached) = &mut self.local {
                        attached.shut_writing();
                    }
                    self.side.local_shut();
                }
                // The other end heard this end's first raw words and answered: behind the node's SWITCH, if it were honest.
                Event::ConnectDesktop { .. } | Event::Opened(_) if self.stack.is_on_trial() => {
                    self.withheld = true;
                    return;
                }
                event => self.side.event(&mut self.session, event),
            }
        }
        let stage = self.session.stage();
        if stage != self.stage && self.ended.is_none() {
            self.stage = stage;
            self.side.reached(stage);
        }
    }

    /// Reads the local side, and puts what it says into records at once: there is room for the next read then, and a turn ends in one
    /// write of all of them. Each write may wake the node's processor.
    fn read_local(&mut self, buffer: &mut [u8]) -> Result<bool, StackError> {
        let Some(attached) = &mut self.local else {
            return Ok(false);
        };
        let mut moved = 0;
        while moved < limits::TURN_BYTES && attached.wants_read(&self.session) {
            let now = self.clock.now();
            match attached.read(buffer, &mut self.session, now) {
                Ok(0) => self.side.local_over(&mut self.session, false),
                Ok(length) => moved += length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => self.side.local_over(&mut self.session, true),
            }
            seal(&mut self.session, &mut self.stack, now)?;
        }
        Ok(moved > 0)
    }

    /// Lets the guard draw what the viewer waits for.
    fn draw(&mut self) -> bool {
        self.local
            .as_mut()
            .is_some_and(|attached| attached.draw(&mut self.session))
    }

    fn write_local(&mut self) -> bool {
        let Some(attached) = &mut self.local else {
            return false;
        };
        let mut moved = 0;
        while moved < limits::TURN_BYTES && attached.wants_write(&self.session) {
            match attached.write(&mut self.session, self.clock.now()) {
                Ok(length) => moved += length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => {
                    self.local_broke();
                    break;
                }
            }
        }
        moved > 0
    }

    fn read_path(&mut self) -> Result<bool, StackError> {
        let mut moved = 0;
        while moved < limits::TURN_BYTES {
            match self
                .socket
                .try_read_buf(self.stack.read_buffer(limits::TURN_BYTES))
            {
                Ok(0) => return Err(StackError::Closed),
                Ok(length) => {
                    moved += length;
                    let (session, now) = (&mut self.session, self.clock.now());
                    self.stack
                        .receive(|plaintext| session.received(PATH, plaintext, now))?;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(moved > 0)
    }

    fn write_path(&mut self) -> Result<bool, StackError> {
        let mut moved = 0;
        loop {
            let sealed = seal(&mut self.session, &mut self.stack, self.clock.now())?;
            moved += sealed;
            let is_drained = write_socket(&self.socket, &mut self.stack)?;
            if sealed == 0 || moved >= limits::TURN_BYTES || !is_drained {
                return Ok(moved > 0);
            }
        }
    }

    /// The session has ended: its last words leave, and what the local side is owed is written, both as far as they can.
    async fn finish(mut self) -> (Outcome<R>, S) {
        self.side.over();
        // CLOSE above all. On a path that is gone there is nobody to tell.
        while let Some(record) = self.session.poll_transmit(PATH, self.clock.now()) {
            if self.stack.send(record.parts()).is_err() {
                break;
            }
        }
        self.stack.close();
        let Self {
            socket,
            stack,
            session,
            clock,
            local,
            ended,
            ..
        } = &mut self;
        let owe = async {
            let Some(attached) = local else { return };
            while attached.wants_write(session) {
                match attached.write(session, clock.now()) {
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        let Some(local) = attached.watched() else {
                            return;
                        };
                        if local.ready(false, true).await.is_err() {
                            return;
                        }
                    }
                    Err(_) => return,
                }
            }
        };
        let ended = ended
            .take()
            .unwrap_or_else(|| unreachable!("a session without a path has ended"));
        let last_words = async {
            if ended.cause == Cause::PathLost {
                // An alert, where the socket still takes one: nothing answers any more, and a person waits already.
                let _taken = write_socket(socket, stack);
            } else {
                leave(socket, stack).await;
            }
        };
        // What does not leave in time is dropped with the sockets: the other end has timers of its own.
        let _in_time = timeout(limits::LINGER, async { tokio::join!(last_words, owe) }).await;
        (
            Outcome {
                ended,
                session: self.session,
                refused: self.local.as_ref().and_then(Attached::refused),
                unserved: self.local.map(Attached::into_local),
            },
            self.side,
        )
    }
}

/// Puts what the session has to say into records, as many as may wait to be written: how many bytes.
fn seal<R: Role>(
    session: &mut Session<R>,
    stack: &mut Stack,
    now: Moment,
) -> Result<usize, StackError> {
    let mut sealed = 0;
    while stack.unsent() < limits::CIPHERTEXT_UNSENT {
        let Some(record) = session.poll_transmit(PATH, now) else {
            break;
        };
        sealed += record.len();
        stack.send(record.parts())?;
    }
    Ok(sealed)
}
