//! The sessions of an agent: opened on their first path, resumed on later ones, reported when a path ends (PROTOCOL.md §5.6, §8).
use std::time::Duration;

use telerelay_outer::LegKey;
use telerelay_outer::agent::PathReport;
use telerelay_session::{
    AgentSession, Event as Told, Offer, Pairing, PathExporter, PathKey, ResumeSecret,
};
use telerelay_wire::ids::{PathId, Stage};
use telerelay_wire::inner::AuthAsk;
use telerelay_wire::outer::Incoming;
use telerelay_wire::{Code, Moment, Reason};

use super::{AgentHost, IN_ONE_FLIGHT, switch_time};
use crate::agenda::{Event, Who};
use crate::desk::{Desk, Seat};
use crate::invariants::{self, Verdict};
use crate::leg::path::Peer;
use crate::local::Program;
use crate::network::ConnectionId;
use crate::scene::Scene;
use crate::story::What;

/// What an agent knows of a path.
#[derive(Debug)]
pub(super) struct PathBook {
    pub(super) path: PathId,
    incoming: Box<Incoming>,
    /// Its session, once inner TLS is up.
    pub(super) slot: Option<u64>,
    /// Factors that are not answered yet.
    unanswered: u8,
    /// The session went by it at some time.
    has_carried: bool,
    /// It puts outer TLS down right behind its handshake.
    pub(super) tries: bool,
    /// Since when the session goes on by another path.
    replaced: Option<Moment>,
    /// When something last came by it.
    pub(super) heard: Moment,
    /// Why inner TLS did not come up.
    failure: Code,
}

impl PathBook {
    pub(super) fn new(incoming: Box<Incoming>) -> Self {
        Self {
            path: incoming.path,
            incoming,
            slot: None,
            unanswered: 0,
            has_carried: false,
            tries: false,
            replaced: None,
            heard: Moment::ZERO,
            failure: Code::PathLost,
        }
    }
}

impl PathBook {
    /// An older path over which nothing comes is given up.
    pub(super) fn judge(&self, now: Moment) -> Verdict {
        self.replaced.map_or(Ok(()), |since| {
            invariants::an_older_path_is_given_up(self.heard.max(since), now)
        })
    }
}

impl AgentHost {
    /// Inner TLS is up: a session begins, or one goes on.
    pub(super) fn secured(&mut self, key: LegKey, peer: Peer, scene: &mut Scene) {
        let Some((leg, path)) = self.legs.path(key) else {
            return;
        };
        let (connection, path_key) = (leg.connection, path.key);
        let (secret, exporter) = (path.resume_secret(), path.path_exporter());
        let Some(book) = self.paths.get_mut(&key) else {
            return;
        };
        let incoming = &book.incoming;
        scene.check(invariants::the_other_end_is_who_was_named(
            peer.device == incoming.client,
        ));
        let pairing = Pairing {
            attempt: incoming.attempt,
            path: incoming.path,
        };
        let live = incoming.resume.and_then(|resume| {
            self.sessions
                .iter_mut()
                .find(|(_, desk)| desk.session.id() == Some(resume.session))
        });
        let slot = if let Some((&slot, desk)) = live {
            desk.session
                .path_up(path_key, pairing, PathExporter(exporter), peer.device);
            slot
        } else {
            let slot = self.next_session;
            self.next_session += 1;
            let resumes = incoming.resume.is_some();
            let session = self.session(key, ResumeSecret::new(secret), pairing, scene);
            let mut desk = Desk::new(session, Seat::Office, self.who(), slot, path_key);
            if resumes {
                // It ended while this path was made.
                desk.session.close(Code::SessionGone);
            }
            self.sessions.insert(slot, desk);
            slot
        };
        if let Some(book) = self.paths.get_mut(&key) {
            book.slot = Some(slot);
            book.unanswered = self.plan.factors;
            book.has_carried = book.incoming.resume.is_none();
        }
        self.authenticate(slot, path_key, scene);
        if let Some(delay) = switch_time(self.plan.switches, scene) {
            if let Some(book) = self.paths.get_mut(&key) {
                book.tries = delay <= IN_ONE_FLIGHT && book.has_carried;
            }
            scene.after(delay, Event::Switch(self.who(), connection));
        }
        self.pump(slot, scene);
    }

    fn session(
        &self,
        key: LegKey,
        secret: ResumeSecret,
        pairing: Pairing,
        scene: &Scene,
    ) -> AgentSession {
        let notices: Vec<_> = (0..self.plan.notices)
            .map(|number| format!("notice {number}").try_into().expect("fits"))
            .collect();
        let incoming = &self.paths[&key].incoming;
        let offer = Offer {
            service: incoming.service,
            client: incoming.client,
            notices: notices.try_into().expect("few"),
            resume_limit: self.plan.resume_limit,
            idle_timeout: 0,
            rules: Vec::new().try_into().expect("none"),
            nodes: scene.nodes().try_into().expect("few"),
        };
        let path = PathKey(key.0);
        let session = AgentSession::new(offer, secret, path, pairing, scene.now)
            .expect("the offer fits OPENED");
        #[cfg(feature = "mutants")]
        if let Some(mutant) = scene.mutant.and_then(crate::mutant::Mutant::of_session) {
            return session.with_mutant(mutant);
        }
        session
    }

    /// Asks for the factors of a path, or says that all are satisfied.
    fn authenticate(&mut self, slot: u64, path: PathKey, scene: &mut Scene) {
        let Some(desk) = self.sessions.get_mut(&slot) else {
            return;
        };
        for number in 0..self.plan.factors {
            let ask = AuthAsk {
                method: "sim".try_into().expect("fits"),
                nonce: vec![number; 16].try_into().expect("fits"),
            };
            desk.session.ask(path, ask, scene.now);
        }
        if self.plan.factors == 0 {
            desk.session.authenticated(path, scene.now);
        }
    }

    /// Moves a session until nothing moves.
    pub(super) fn pump(&mut self, slot: u64, scene: &mut Scene) {
        loop {
            let Some(desk) = self.sessions.get_mut(&slot) else {
                return;
            };
            let mut has_moved = desk.turn(scene);
            while let Some(desk) = self.sessions.get_mut(&slot)
                && let Some(told) = desk.session.poll_event()
            {
                has_moved = true;
                desk.heed(&told, scene);
                self.heed(slot, told, scene);
            }
            for key in self.legs_of(slot) {
                if let Some(desk) = self.sessions.get_mut(&slot) {
                    has_moved |= desk.transmit(&mut self.legs, key, scene);
                }
            }
            if !has_moved {
                break;
            }
        }
        if let Some(desk) = self.sessions.get_mut(&slot) {
            desk.judge(scene);
            desk.judge_told(&self.legs, scene);
            if desk.ended.is_some() && self.legs_of(slot).is_empty() {
                self.sessions.remove(&slot);
            }
        }
        self.obey(scene);
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "what was told is heeded once"
    )]
    fn heed(&mut self, slot: u64, told: Told, scene: &mut Scene) {
        match told {
            Told::Answered { path, .. } => {
                let book = self.paths.get_mut(&LegKey(path.0));
                let is_last = book.is_some_and(|book| {
                    book.unanswered -= 1;
                    book.unanswered == 0
                });
                if is_last && let Some(desk) = self.sessions.get_mut(&slot) {
                    desk.session.authenticated(path, scene.now);
                }
            }
            Told::ConnectDesktop { .. } => {
                self.judge_trial(slot, scene);
                match self.plan.desktop_answers {
                    Some(delay) => scene.after(delay, Event::ProgramConnects(self.who(), slot)),
                    None => self.end(slot, Code::DesktopAbsent.into(), scene),
                }
            }
            Told::Resumed { path, generation } => {
                self.judge_resumed(slot, LegKey(path.0), generation, scene);
                for (key, book) in &mut self.paths {
                    if key.0 == path.0 {
                        book.has_carried = true;
                    } else if book.slot == Some(slot) && book.has_carried {
                        book.replaced.get_or_insert(scene.now);
                    }
                }
            }
            Told::PathLost { path } => self.gone(LegKey(path.0), scene),
            Told::PathDone { path } => self.leave(slot, LegKey(path.0), scene),
            Told::Ended(_) => {
                for key in self.legs_of(slot) {
                    self.leave(slot, key, scene);
                }
            }
            _ => {}
        }
    }

    /// Something is about to be carried.
    fn judge_trial(&self, slot: u64, scene: &mut Scene) {
        if let Some(desk) = self.sessions.get(&slot)
            && let Some(path) = desk.session.sending_path()
        {
            scene.check(invariants::nothing_is_carried_on_trial(
                self.legs.is_on_trial(path),
            ));
        }
    }

    /// A session goes on by another path.
    fn judge_resumed(&self, slot: u64, key: LegKey, generation: u32, scene: &mut Scene) {
        if let Some(book) = self.paths.get(&key)
            && let Some(id) = self.sessions.get(&slot).and_then(|desk| desk.session.id())
        {
            let verdict = scene.ledger.requests.resumed(id, generation, book.path);
            scene.check(verdict);
        }
    }

    /// Nothing more will be said on a path: what is left leaves.
    fn leave(&mut self, slot: u64, key: LegKey, scene: &mut Scene) {
        if self.legs.is_leaving(key) {
            return;
        }
        if let Some(desk) = self.sessions.get_mut(&slot) {
            desk.last_words(&mut self.legs, key, scene);
        }
        if let Some((leg, path)) = self.legs.path(key) {
            path.finish(leg);
        }
        self.legs.leave(key, scene);
    }

    fn legs_of(&self, slot: u64) -> Vec<LegKey> {
        self.paths
            .iter()
            .filter(|(_, book)| book.slot == Some(slot))
            .map(|(&key, _)| key)
            .collect()
    }

    /// A path's leg is closed: the session goes on without it, and the node is told how it ended.
    pub(super) fn path_closed(&mut self, key: LegKey, scene: &mut Scene) {
        let Some(book) = self.paths.remove(&key) else {
            return;
        };
        if let Some(slot) = book.slot {
            if let Some(desk) = self.sessions.get_mut(&slot) {
                desk.path_lost(PathKey(key.0), scene);
            }
            self.pump_until_told(slot, scene);
        }
        let report = self.report(&book);
        scene.note_leg(self.who(), "path ended", key, || {
            format!("{} at {}", report.code, report.stage)
        });
        self.book.path_ended(book.path);
        self.machine.path_ended(book.path, report, scene.now);
        if let Some(slot) = book.slot {
            self.pump(slot, scene);
        }
        self.obey(scene);
    }

    /// Lets a session say what the loss of a path means for it.
    fn pump_until_told(&mut self, slot: u64, scene: &mut Scene) {
        while let Some(desk) = self.sessions.get_mut(&slot)
            && let Some(told) = desk.session.poll_event()
        {
            desk.heed(&told, scene);
            self.heed(slot, told, scene);
        }
    }

    fn report(&self, book: &PathBook) -> PathReport {
        let (code, stage, session): (Reason, _, _) =
            match book.slot.and_then(|slot| self.sessions.get(&slot)) {
                None => (book.failure.into(), Stage::Inner, None),
                Some(desk) => match &desk.ended {
                    Some(ended) => (ended.code.clone(), ended.stage, desk.session.id()),
                    None if book.replaced.is_some() => {
                        (Code::Done.into(), Stage::Session, desk.session.id())
                    }
                    None => (Code::PathLost.into(), Stage::Session, desk.session.id()),
                },
            };
        PathReport {
            code,
            stage,
            session,
            notices: Vec::new().try_into().expect("none"),
        }
    }

    /// The inner handshake has had its time.
    pub(crate) fn inner_over(&mut self, connection: ConnectionId, scene: &mut Scene) {
        if let Some(key) = self.legs.key_of(connection)
            && let Some((_, path)) = self.legs.path(key)
            && !path.is_secured()
        {
            if let Some(book) = self.paths.get_mut(&key) {
                book.failure = Code::Identity;
            }
            self.gone(key, scene);
            self.obey(scene);
        }
    }

    /// The desktop answers.
    pub(crate) fn desktop_connects(&mut self, slot: u64, scene: &mut Scene) {
        let Some(desk) = self.sessions.get_mut(&slot) else {
            return;
        };
        if desk.session.id().is_some() {
            return;
        }
        desk.session.desktop_connected(&mut scene.dice);
        if let Some(id) = desk.session.id() {
            let desktop = Program::new(self.plan.desktop, scene.now);
            let limit = Duration::from_secs(self.plan.resume_limit.into());
            scene.ledger.opened(id, desktop.is_echo(), limit, scene.now);
            scene.saw(Who::Agent(self.number), What::Opened(id));
            desk.attach(desktop);
            if let Some(standby) = self.standby.clone() {
                desk.session.standby(standby);
            }
        }
        self.pump(slot, scene);
    }

    /// The desktop does something.
    pub(crate) fn desktop_turn(&mut self, slot: u64, scene: &mut Scene) {
        if let Some(desk) = self.sessions.get_mut(&slot) {
            desk.program_turn(scene);
            self.pump(slot, scene);
        }
    }

    /// Clients are told to come to the standby.
    pub(crate) fn migrate(&mut self, within: u16, scene: &mut Scene) {
        for slot in self.sessions.keys().copied().collect::<Vec<_>>() {
            if let Some(desk) = self.sessions.get_mut(&slot) {
                desk.session.migrate(within);
            }
            self.pump(slot, scene);
        }
    }

    /// A session is ended from above.
    pub(super) fn end(&mut self, slot: u64, code: Reason, scene: &mut Scene) {
        if let Some(desk) = self.sessions.get_mut(&slot) {
            desk.session.close(code);
            self.pump(slot, scene);
        }
    }

    /// Every session is ended from above.
    pub(crate) fn end_sessions(&mut self, scene: &mut Scene) {
        for slot in self.sessions.keys().copied().collect::<Vec<_>>() {
            self.end(slot, Code::Absent.into(), scene);
        }
        // Paths without a session yet have none to end.
        let bare = self.paths.iter().filter(|(_, book)| book.slot.is_none());
        for key in bare.map(|(&key, _)| key).collect::<Vec<_>>() {
            self.gone(key, scene);
        }
        self.obey(scene);
    }
}
