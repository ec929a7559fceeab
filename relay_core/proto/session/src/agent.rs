//! The agent's end: asks, opens, connects the desktop, judges RESUME (PROTOCOL.md §8.1, §8.4).
use std::time::Duration;

use sha2::{Digest, Sha256};
use telerelay_wire::bounded::{List, Text};
use telerelay_wire::ids::{DeviceId, NodeAddress, NoticeHash, Service, SessionId, Stage};
use telerelay_wire::inner::{
    AuthAnswer, AuthAsk, AuthDone, Frame, Migrate, Notice, Open, Opened, ResumeAsk, Resumed,
    Standby,
};
use telerelay_wire::{Code, Entropy, FrameError, Moment, limits};

use crate::event::Event;
use crate::incoming::Incoming;
use crate::mutant::Mutant;
use crate::outgoing::Outgoing;
use crate::path::{Claims, Output, Pairing, Path, PathKey, Progress};
use crate::proof::{Claim, PathExporter, ResumeSecret};
use crate::role::{Acts, Role};
use crate::session::Session;
use crate::timer::Timer;
use crate::violation::Violation;

/// A session at the office PC.
pub type AgentSession = Session<Agent>;

/// What the agent knows and offers before the client opens the session.
#[derive(Clone, Debug)]
pub struct Offer {
    /// The service of INCOMING.
    pub service: Service,
    /// The device that the inner handshake verified, which is the one of INCOMING. Only it may resume.
    pub client: DeviceId,
    /// Texts that the person confirms before the desktop is connected.
    pub notices: List<Text<1, 8000>, 0, 16>,
    /// Seconds that the session lives without a path; 0 = it ends with its path.
    pub resume_limit: u32,
    /// Seconds without input after which it ends.
    pub idle_timeout: u32,
    /// The rules as the person is shown them.
    pub rules: List<Text<1, 64>, 0, 32>,
    /// Where to come back.
    pub nodes: List<NodeAddress, 0, 8>,
}

/// What only an agent's session holds.
#[derive(Debug)]
pub struct Agent {
    client: DeviceId,
    /// Until OPENED.
    opening: Option<Box<Opening>>,
    confirmed: Vec<NoticeHash>,
    standby: Option<NodeAddress>,
    migrate: Option<u16>,
}

#[derive(Debug)]
struct Opening {
    offer: Offer,
    unconfirmed: Vec<NoticeHash>,
    /// OPEN, where it came before the last CONFIRM.
    open: Option<Open>,
    connecting: bool,
}

impl Session<Agent> {
    /// A session whose first path is up. `secret` is the resume exporter of that path's inner TLS. An error where the
    /// offer is too long for OPENED.
    pub fn new(
        offer: Offer,
        secret: ResumeSecret,
        path: PathKey,
        pairing: Pairing,
        now: Moment,
    ) -> Result<Self, FrameError> {
        Frame::Opened(opened(&offer, SessionId([0; 16]))).encode(&mut Vec::new())?;
        let client = offer.client;
        let opening = Opening {
            offer,
            unconfirmed: Vec::new(),
            open: None,
            connecting: false,
        };
        let role = Agent {
            client,
            opening: Some(Box::new(opening)),
            confirmed: Vec::new(),
            standby: None,
            migrate: None,
        };
        let outgoing = Outgoing::new(limits::WINDOW_SCREEN, limits::UNSENT_DESKTOP);
        let incoming = Incoming::new(limits::WINDOW_INPUT);
        let path = Path::new(
            path,
            Claims {
                pairing,
                exporter: None,
                generation: 0,
            },
        );
        Ok(Self::with_first(
            role, secret, outgoing, incoming, path, now,
        ))
    }

    /// A client asks to resume this session on a new path, whose inner TLS verified `client`. Where it cannot be, the
    /// path is answered CLOSE(`SESSION_GONE`) and the session goes on as it was.
    pub fn path_up(
        &mut self,
        path: PathKey,
        pairing: Pairing,
        exporter: PathExporter,
        client: DeviceId,
    ) {
        let claims = Claims {
            pairing,
            exporter: Some(exporter),
            generation: 0,
        };
        let index = self.add_path(Path::new(path, claims));
        if !self.is_open() || client != self.role.client {
            self.refuse(index, Code::SessionGone);
        }
    }

    /// Asks for a factor on a path that is being opened; at most 16 times.
    pub fn ask(&mut self, path: PathKey, ask: AuthAsk, now: Moment) {
        let Some(path) = in_auth(&mut self.paths, path) else {
            return;
        };
        debug_assert!(
            usize::from(path.asked) < limits::SESSION_QUESTIONS,
            "a client answers 16 factors and no more"
        );
        path.out.put(ask);
        path.asked += 1;
        path.unanswered += 1;
        path.deadline = now + limits::NOTICE;
    }

    /// Every factor of a path is satisfied; where the device key is the only one, that is at once.
    pub fn authenticated(&mut self, path: PathKey, now: Moment) {
        let Some(path) = in_auth(&mut self.paths, path) else {
            return;
        };
        path.out.put(AuthDone {});
        path.deadline = now + limits::OPEN;
        if !path.is_first() {
            path.progress = Progress::Resuming;
            return;
        }
        path.progress = Progress::Opening;
        let Some(opening) = &mut self.role.opening else {
            return;
        };
        for text in &opening.offer.notices {
            let hash = NoticeHash(Sha256::digest(text.as_bytes()).into());
            path.out.put(Notice {
                hash,
                text: text.clone(),
            });
            path.deadline += limits::NOTICE;
            opening.unconfirmed.push(hash);
        }
        self.stage = Stage::Open;
    }

    /// The answer to [`Event::ConnectDesktop`]: the desktop is there, and the session lives from now on.
    pub fn desktop_connected(&mut self, entropy: &mut dyn Entropy) {
        let Some(index) = self.sending.and_then(|key| self.index(key)) else {
            return;
        };
        if self.ended
            || self
                .role
                .opening
                .as_ref()
                .is_none_or(|opening| !opening.connecting)
        {
            return;
        }
        let Some(opening) = self.role.opening.take() else {
            return;
        };
        let session = SessionId::random(entropy);
        let path = &mut self.paths[index];
        path.out.put(opened(&opening.offer, session));
        path.progress = Progress::Carrying;
        path.claims = None;
        self.id = Some(session);
        self.stage = Stage::Session;
        self.resume_limit = Duration::from_secs(opening.offer.resume_limit.into());
        self.timers.clear(Timer::Desktop);
    }

    /// Tells the client where the ready connection waits; the last word counts.
    pub fn standby(&mut self, node: NodeAddress) {
        self.role.standby = Some(node);
    }

    /// Asks the client to come to the standby within so many seconds.
    pub fn migrate(&mut self, within: u16) {
        self.role.migrate = Some(within);
    }

    /// The notices that the person confirmed, for `SESSION_END`.
    pub fn confirmed(&self) -> &[NoticeHash] {
        &self.role.confirmed
    }

    fn answered(&mut self, index: usize, answer: AuthAnswer) -> Result<(), Violation> {
        let path = &mut self.paths[index];
        if path.progress != Progress::Auth || path.unanswered == 0 {
            return Err(Violation::Unexpected {
                frame: "AUTH_ANSWER",
            });
        }
        path.unanswered -= 1;
        if path.unanswered == 0 {
            path.deadline = Moment::NEVER;
        }
        self.events.push_back(Event::Answered {
            path: path.key,
            answer,
        });
        Ok(())
    }

    fn confirm(&mut self, hash: NoticeHash, now: Moment) -> Result<(), Violation> {
        let Some(opening) = &mut self.role.opening else {
            return Err(Violation::Unexpected { frame: "CONFIRM" });
        };
        let Some(waiting) = opening.unconfirmed.iter().position(|one| *one == hash) else {
            return Err(Violation::NoticeHash { hash });
        };
        opening.unconfirmed.remove(waiting);
        self.role.confirmed.push(hash);
        self.connect_when_confirmed(now);
        Ok(())
    }

    fn open(&mut self, index: usize, open: Open, now: Moment) -> Result<(), Violation> {
        let path = &self.paths[index];
        let opening = self
            .role
            .opening
            .as_mut()
            .filter(|_| path.progress == Progress::Opening);
        let (Some(opening), Some(claims)) = (opening, &path.claims) else {
            return Err(Violation::Unexpected { frame: "OPEN" });
        };
        if opening.open.is_some() || opening.connecting {
            return Err(Violation::Unexpected { frame: "OPEN" });
        }
        let pairing = Pairing {
            attempt: open.attempt,
            path: open.path,
        };
        if open.service != opening.offer.service || pairing != claims.pairing {
            return Err(Violation::OtherPath { frame: "OPEN" });
        }
        opening.open = Some(open);
        self.connect_when_confirmed(now);
        Ok(())
    }

    fn connect_when_confirmed(&mut self, now: Moment) {
        let Some(opening) = self
            .role
            .opening
            .as_mut()
            .filter(|opening| opening.unconfirmed.is_empty())
        else {
            return;
        };
        let Some(Open {
            instance,
            program,
            posture,
            ..
        }) = opening.open.take()
        else {
            return;
        };
        opening.connecting = true;
        for path in &mut self.paths {
            path.deadline = Moment::NEVER;
        }
        self.timers.set(Timer::Desktop, now + limits::DESKTOP);
        self.events.push_back(Event::ConnectDesktop {
            instance,
            program,
            posture,
        });
    }

    fn resume(&mut self, index: usize, ask: &ResumeAsk, now: Moment) -> Result<(), Violation> {
        let path = &self.paths[index];
        let (Progress::Resuming, Some(claims)) = (path.progress, &path.claims) else {
            return Err(Violation::Unexpected { frame: "RESUME" });
        };
        if claims.pairing
            != (Pairing {
                attempt: ask.attempt,
                path: ask.path,
            })
        {
            return Err(Violation::OtherPath { frame: "RESUME" });
        }
        let Some(exporter) = &claims.exporter else {
            return Err(Violation::Unexpected { frame: "RESUME" });
        };
        let ResumeAsk {
            session,
            generation,
            received,
            ..
        } = *ask;
        let is_newer = generation > self.generation || self.breaks(Mutant::OldGenerationAccepted);
        let is_proven = Claim {
            exporter,
            session,
            generation,
            received,
        }
        .is_proven(&self.secret, &ask.proof);
        if self.id != Some(session) || !is_newer || !is_proven {
            self.refuse(index, Code::SessionGone);
            return Ok(());
        }
        self.carry(index, generation, received, now)?;
        let received = self.count_written();
        self.paths[index].out.put(Resumed { received });
        self.incoming.acknowledge(received);
        Ok(())
    }
}

fn in_auth(paths: &mut [Path], path: PathKey) -> Option<&mut Path> {
    paths
        .iter_mut()
        .find(|one| one.key == path && one.progress == Progress::Auth)
}

fn opened(offer: &Offer, session: SessionId) -> Opened {
    let Offer {
        resume_limit,
        idle_timeout,
        rules,
        nodes,
        ..
    } = offer.clone();
    Opened {
        session,
        resume_limit,
        idle_timeout,
        rules,
        nodes,
    }
}

impl Role for Agent {}

impl Acts for Agent {
    const DIALS: bool = false;

    fn frame(
        session: &mut Session<Self>,
        path: usize,
        frame: Frame<'_>,
        now: Moment,
    ) -> Result<(), Violation> {
        match frame {
            Frame::AuthAnswer(answer) => session.answered(path, answer),
            Frame::Confirm(confirm) => session.confirm(confirm.hash, now),
            Frame::Open(open) => session.open(path, open, now),
            Frame::ResumeAsk(ask) => session.resume(path, &ask, now),
            frame => Err(Violation::Unexpected {
                frame: frame.name(),
            }),
        }
    }

    fn put(&mut self, out: &mut Output) {
        if let Some(node) = self.standby.take() {
            out.put(Standby { node });
        }
        if let Some(within) = self.migrate.take() {
            out.put(Migrate { within });
        }
    }
}
