//! One visit, from its moment to its end.
use std::sync::Arc;
use std::time::{Duration, Instant};

use telerelay_wire::{Code, Reason};
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::unix::OwnedWriteHalf;
use tokio::time::sleep_until;

use super::screen::Side;
use super::{Event, OF_AGENT, OF_SESSION, Planned, Shared};
use crate::conversation::Conversation;
use crate::desktop::READ;
use crate::exchange::Opening;
use crate::lock;
use crate::stop::Stop;
use crate::visit::{Failed, Marks, STAGES, Session};

impl Shared {
    /// Waits for its moment, sets the session up, stays, and ends it. One that is told to end before its moment never begins.
    pub(super) async fn visit(self: Arc<Self>, mut planned: Planned) {
        let number = planned.number;
        tokio::select! {
            () = sleep_until(planned.at.into()) => self.attend(planned).await,
            () = planned.stop.heard(None) => {}
        }
        lock(&self.stoppers).remove(&number);
    }

    async fn attend(&self, planned: Planned) {
        let Planned {
            number,
            at,
            client,
            hold,
            model,
            stop,
        } = planned;
        let arrived = self.set_up(number, at, client, stop.clone()).await;
        lock(&self.record).set_up(at, arrived.as_ref());
        let marks = arrived
            .as_ref()
            .map_or_else(|failed| failed.marks, |session| session.marks);
        for (stage, began, ended) in marks.stages() {
            self.tell(number, STAGES[stage], None, [at, began, ended]);
        }
        match arrived {
            Err(Failed {
                marks,
                at: ended,
                code,
            }) => {
                let stage = STAGES[marks.stage()];
                self.tell(number, stage, Some(code), [at, marks.at(), ended]);
            }
            Ok(session) => {
                let opening = Opening::Screen {
                    model,
                    seed: self.seed.wrapping_add(number),
                };
                let code = self.stay(session, opening, hold, stop).await;
                lock(&self.record).ended(&code);
                self.tell(
                    number,
                    "session",
                    Some(code),
                    [at, marks.at(), Instant::now()],
                );
            }
        }
    }

    async fn set_up(
        &self,
        number: u64,
        at: Instant,
        client: usize,
        stop: Stop,
    ) -> Result<Session, Failed> {
        let running = {
            let mut record = lock(&self.record);
            record.begun(at);
            record.running()
        };
        let sessions = usize::try_from(running).unwrap_or(usize::MAX);
        let needed = sessions.saturating_mul(OF_SESSION) + self.agents() * OF_AGENT;
        if needed > self.descriptors {
            return Err(Marks::begin().failed(Code::Machine.into()));
        }
        self.clients.visit(number, client, stop).await
    }

    /// What happens until the session ends, by itself or since its time is over.
    async fn stay(
        &self,
        session: Session,
        opening: Opening,
        hold: Duration,
        mut stop: Stop,
    ) -> Reason {
        let (viewer, mut ending) = session.split();
        let (screen, keyboard) = viewer.into_split();
        let mut screen = BufReader::with_capacity(READ, screen);
        let conversation = Conversation::default();
        let take = conversation.take(&mut screen, |picture, delay| {
            lock(&self.record).received(picture.length, delay);
        });
        let ended = tokio::select! {
            code = take => Some(code),
            code = self.speak(&conversation, keyboard, opening) => Some(code),
            code = ending.ended() => Some(code),
            () = stop.heard(Some(hold)) => None,
        };
        // Before it is closed, which takes time that nobody waited.
        lock(&self.record).unanswered(&conversation.waiting());
        match ended {
            Some(code) => code,
            None => ending.close().await,
        }
    }

    /// Sends what the viewer's end of the screen says. It never comes back: whoever waits for the session's end tells it.
    async fn speak(
        &self,
        conversation: &Conversation,
        mut keyboard: OwnedWriteHalf,
        opening: Opening,
    ) -> Reason {
        let began = Instant::now();
        let mut written = keyboard.write_all(&opening.encoded()).await;
        let mut screen = self.models.screen(opening, Side::Up).into_iter().flatten();
        while let (Ok(()), Some(message)) = (&written, screen.next()) {
            let at = began + message.at();
            let is_free = Instant::now() < at;
            sleep_until(at.into()).await;
            let key = conversation.key(at, message.bytes, message.answer);
            let late = is_free.then(|| at.elapsed());
            lock(&self.record).sends(key.length, key.answer > 0, late);
            written = keyboard.write_all_buf(&mut key.encoded()).await;
        }
        std::future::pending().await
    }

    fn tell(
        &self,
        visit: u64,
        stage: &'static str,
        code: Option<Reason>,
        [intended, began, ended]: [Instant; 3],
    ) {
        let event = Event {
            visit,
            stage,
            code,
            intended_ns: self.clock.ns(intended),
            began_ns: self.clock.ns(began),
            ended_ns: self.clock.ns(ended),
        };
        if self.events.offer(event).is_err() {
            lock(&self.record).lost();
        }
    }
}
