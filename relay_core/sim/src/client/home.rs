//! The session of a client: opened on its first path, carried on by later ones, ended once (PROTOCOL.md §8).
use telerelay_outer::client::{Client, PathEnd};
use telerelay_session::{
    Cause, ClientSession, Event as Told, Pairing, PathExporter, PathKey, Request as Ask,
    ResumeSecret,
};
use telerelay_wire::Code;
use telerelay_wire::ids::{Service, Stage};
use telerelay_wire::inner::AuthAnswer;

use super::{ClientHost, ClientLeg, PathOf, REQUESTS, without_session};
use crate::agenda::Event;
use crate::agent::{IN_ONE_FLIGHT, switch_time};
use crate::desk::{Desk, Seat};
use crate::invariants;
use crate::leg::path::Peer;
use crate::local::Program;
use crate::scene::{EPOCH, Scene, computer, program};
use crate::story::What;

impl ClientHost {
    /// Inner TLS is up: the session begins, or goes on.
    pub(super) fn secured(&mut self, key: ClientLeg, peer: Peer, scene: &mut Scene) {
        let request = &self.requests[key.request];
        let Some(of) = request.path.filter(|_| request.forged.is_none()) else {
            return;
        };
        scene.check(invariants::the_other_end_is_who_was_named(
            peer.computer == computer(self.plan.computer),
        ));
        let Some((leg, path)) = self.legs.path(key) else {
            return;
        };
        let (connection, path_key) = (leg.connection, path.key);
        let (secret, exporter) = (path.resume_secret(), path.path_exporter());
        let pairing = Pairing {
            attempt: of.attempt,
            path: of.path,
        };
        match (of.resume, &mut self.desk) {
            (None, _) => {
                let ask = Ask {
                    service: Service::Rfb,
                    instance: self.instance,
                    program: program(),
                    posture: None,
                };
                let secret = ResumeSecret::new(secret);
                let session = ClientSession::new(ask, secret, path_key, pairing, scene.now);
                #[cfg(feature = "mutants")]
                let session = match scene.mutant.and_then(crate::mutant::Mutant::of_session) {
                    Some(mutant) => session.with_mutant(mutant),
                    None => session,
                };
                self.desk = Some(Desk::new(session, Seat::Home, self.who(), 0, path_key));
            }
            (Some(resume), Some(desk)) => {
                let exporter = PathExporter(exporter);
                desk.session
                    .path_up(path_key, resume.generation, pairing, exporter, scene.now);
            }
            (Some(_), None) => {}
        }
        let request = &mut self.requests[key.request];
        request.machine.reached(Stage::Inner, scene.now);
        if let Some(delay) = switch_time(self.plan.switches, scene) {
            if let Some(path) = &mut self.requests[key.request].path {
                path.tries = delay <= IN_ONE_FLIGHT && path.resume.is_none();
            }
            scene.after(delay, Event::Switch(self.who(), connection));
        }
    }

    /// Moves the session until nothing moves.
    pub(super) fn pump(&mut self, scene: &mut Scene) {
        loop {
            let Some(desk) = &mut self.desk else {
                return;
            };
            let mut has_moved = desk.turn(scene);
            has_moved |= self.heed_all(scene);
            for path in self.paths() {
                if let Some(desk) = &mut self.desk {
                    has_moved |= desk.transmit(&mut self.legs, path.key, scene);
                }
            }
            if !has_moved {
                break;
            }
        }
        if let Some(desk) = &mut self.desk {
            desk.judge(scene);
            desk.judge_told(&self.legs, scene);
        }
        self.obey(scene);
    }

    fn heed_all(&mut self, scene: &mut Scene) -> bool {
        let mut has_heard = false;
        while let Some(desk) = &mut self.desk
            && let Some(told) = desk.session.poll_event()
        {
            has_heard = true;
            desk.heed(&told, scene);
            self.heed(told, scene);
        }
        has_heard
    }

    fn heed(&mut self, told: Told, scene: &mut Scene) {
        let Some(desk) = &mut self.desk else {
            return;
        };
        match told {
            Told::Asked { path, ask } => {
                let answer = AuthAnswer {
                    method: ask.method,
                    answer: Vec::new().try_into().expect("empty"),
                };
                desk.session.answer(path, answer, scene.now);
            }
            Told::Notice(notice) => desk.session.confirm(notice.hash, scene.now),
            Told::Opened(opened) => {
                let path = desk.session.sending_path();
                scene.check(invariants::nothing_is_carried_on_trial(
                    path.is_some_and(|path| self.legs.is_on_trial(path)),
                ));
                scene.saw(self.who(), What::Opened(opened.session));
                let arrives = Event::ProgramConnects(self.who(), 0);
                scene.after(self.plan.viewer_arrives, arrives);
            }
            Told::Standby(node) => {
                for request in &mut self.requests {
                    request.machine.set_standby(node.clone());
                }
                if let Some(number) = scene.node_of(&node.name) {
                    scene.saw(self.who(), What::Standby(number));
                }
                self.standby = Some(node);
            }
            Told::Migrate { .. } => {
                scene.saw(self.who(), What::Called);
                self.dial_beside(scene);
            }
            Told::DialParallel => {
                scene.saw(self.who(), What::DialsBeside);
                self.dial_beside(scene);
            }
            Told::PathLost { path } => self.gone(path.into(), scene),
            Told::PathDone { path } => self.leave(path.into(), scene),
            Told::Ended(_) => {
                for path in self.paths() {
                    self.leave(path.key, scene);
                }
                self.cancel_dials(scene);
            }
            _ => {}
        }
    }

    /// Asks for a path beside the one that the session has: make before break.
    fn dial_beside(&mut self, scene: &mut Scene) {
        let is_trying = |request: &super::Request| {
            request.ends == 0 && request.path.is_none() && request.forged.is_none()
        };
        if self.requests.iter().any(is_trying) || self.requests.len() >= REQUESTS {
            return;
        }
        let Some(resume) = self
            .desk
            .as_mut()
            .and_then(|desk| desk.session.next_resume())
        else {
            return;
        };
        let machine = Client::resuming(
            self.config(scene),
            resume,
            self.standby.clone(),
            EPOCH,
            scene.now,
            &mut scene.dice,
        );
        self.add(machine, None, scene);
    }

    fn paths(&self) -> Vec<PathOf> {
        self.requests
            .iter()
            .filter_map(|request| request.path)
            .collect()
    }

    /// Nothing more will be said on a path: what is left leaves.
    fn leave(&mut self, key: ClientLeg, scene: &mut Scene) {
        if self.legs.is_leaving(key) {
            return;
        }
        if let Some(desk) = &mut self.desk {
            desk.last_words(&mut self.legs, key, scene);
        }
        if let Some((leg, path)) = self.legs.path(key) {
            path.finish(leg);
        }
        self.legs.leave(key, scene);
    }

    /// A path's leg is closed: its request is told what that means.
    pub(super) fn path_closed(&mut self, path: PathOf, scene: &mut Scene) {
        let number = path.key.request;
        self.requests[number].path = None;
        if let Some(desk) = &mut self.desk {
            let key = PathKey(telerelay_outer::LegKey::from(path.key).0);
            desk.path_lost(key, scene);
        }
        self.heed_all(scene);
        let end = match &mut self.desk {
            _ if self.requests[number].forged.is_some() => PathEnd::Closed {
                code: Code::SessionGone.into(),
                stage: Stage::Inner,
            },
            None => without_session(path.failure),
            Some(desk) => match &desk.ended {
                Some(ended) if ended.cause == Cause::PathLost && desk.session.id().is_none() => {
                    PathEnd::Unproven {
                        stage: ended.stage,
                        is_own: path.is_unproven,
                        code: Code::PathLost,
                    }
                }
                Some(ended) if ended.cause == Cause::PathLost => PathEnd::Lost {
                    stage: ended.stage,
                    resume: None,
                },
                Some(ended) => PathEnd::Closed {
                    code: ended.code.clone(),
                    stage: ended.stage,
                },
                // The session goes on by another path.
                None if desk.session.sending_path().is_some() => PathEnd::Closed {
                    code: Code::Done.into(),
                    stage: Stage::Session,
                },
                None => PathEnd::Lost {
                    stage: Stage::Session,
                    resume: desk.session.next_resume(),
                },
            },
        };
        if matches!(end, PathEnd::Unproven { is_own: true, .. }) {
            scene.saw(self.who(), What::Unproven);
        }
        let request = &mut self.requests[number];
        request.machine.path_ended(end, scene.now, &mut scene.dice);
        self.obey(scene);
    }

    /// The viewer arrives.
    pub(crate) fn viewer_connects(&mut self, scene: &mut Scene) {
        if let Some(desk) = &mut self.desk {
            desk.attach(Program::new(self.plan.viewer, scene.now));
        }
        self.pump(scene);
    }

    /// The viewer does something.
    pub(crate) fn viewer_turn(&mut self, scene: &mut Scene) {
        if let Some(desk) = &mut self.desk {
            desk.program_turn(scene);
        }
        self.pump(scene);
    }
}
