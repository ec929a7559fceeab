//! The client's end: answers, confirms, opens, dials again and resumes (PROTOCOL.md §8.1, §8.4).
use std::time::Duration;

use sha2::{Digest, Sha256};
use telerelay_wire::bounded::Octets;
use telerelay_wire::ids::{Instance, NoticeHash, Program, Resume, Service, Stage};
use telerelay_wire::inner::{AuthAnswer, AuthAsk, Confirm, Frame, Notice, Open, Opened, ResumeAsk};
use telerelay_wire::{Moment, limits};

use crate::event::Event;
use crate::incoming::Incoming;
use crate::outgoing::Outgoing;
use crate::path::{Claims, Output, Pairing, Path, PathKey, Progress};
use crate::proof::{Claim, PathExporter, ResumeSecret};
use crate::role::{Acts, Role};
use crate::session::Session;
use crate::violation::Violation;

/// A session at the home PC.
pub type ClientSession = Session<Client>;

/// What the client asks for in OPEN.
#[derive(Clone, Debug)]
pub struct Request {
    /// The service of CONNECT.
    pub service: Service,
    /// The client's process; as in HELLO.
    pub instance: Instance,
    /// The client's program.
    pub program: Program,
    /// What the client says about its machine.
    pub posture: Option<Octets<0, 3072>>,
}

/// What only a client's session holds.
#[derive(Debug)]
pub struct Client {
    /// Until OPEN.
    request: Option<Box<Request>>,
    noticed: usize,
    unconfirmed: Vec<NoticeHash>,
    /// The number of the newest path that was dialled.
    dialled: u32,
}

impl Session<Client> {
    /// A session whose first path is up. `secret` is the resume exporter of that path's inner TLS.
    pub fn new(
        request: Request,
        secret: ResumeSecret,
        path: PathKey,
        pairing: Pairing,
        now: Moment,
    ) -> Self {
        let role = Client {
            request: Some(Box::new(request)),
            noticed: 0,
            unconfirmed: Vec::new(),
            dialled: 0,
        };
        let outgoing = Outgoing::new(limits::WINDOW_INPUT, u64::MAX);
        let incoming = Incoming::new(limits::WINDOW_SCREEN);
        let mut path = Path::new(
            path,
            Claims {
                pairing,
                exporter: None,
                generation: 0,
            },
        );
        path.deadline = now + limits::OPEN;
        Self::with_first(role, secret, outgoing, incoming, path, now)
    }

    /// What CONNECT says to resume this session: a new number each time. `None` before OPENED and after the end.
    pub fn next_resume(&mut self) -> Option<Resume> {
        let session = self.id.filter(|_| self.is_open())?;
        self.role.dialled += 1;
        Some(Resume {
            session,
            generation: self.role.dialled,
        })
    }

    /// A path that was dialled with [`Self::next_resume`] is up.
    pub fn path_up(
        &mut self,
        path: PathKey,
        generation: u32,
        pairing: Pairing,
        exporter: PathExporter,
        now: Moment,
    ) {
        let index = self.add_path(Path::new(
            path,
            Claims {
                pairing,
                exporter: Some(exporter),
                generation,
            },
        ));
        if self.is_open() {
            self.paths[index].deadline = now + limits::OPEN;
        } else {
            self.paths[index].close();
            self.events.push_back(Event::PathDone { path });
        }
    }

    /// Answers a factor that a path was asked for.
    pub fn answer(&mut self, path: PathKey, answer: AuthAnswer, now: Moment) {
        let waiting = |one: &&mut Path| {
            one.key == path && one.progress == Progress::Auth && one.unanswered > 0
        };
        let Some(path) = self.paths.iter_mut().find(waiting) else {
            return;
        };
        path.out.put(answer);
        path.unanswered -= 1;
        if path.unanswered == 0 {
            path.deadline = now + limits::OPEN;
        }
    }

    /// The person confirmed a notice.
    pub fn confirm(&mut self, hash: NoticeHash, now: Moment) {
        let Some(waiting) = self.role.unconfirmed.iter().position(|one| *one == hash) else {
            return;
        };
        let Some(path) = self
            .paths
            .iter_mut()
            .find(|path| path.progress == Progress::Opening)
        else {
            return;
        };
        self.role.unconfirmed.remove(waiting);
        path.out.put(Confirm { hash });
        if self.role.unconfirmed.is_empty() {
            path.deadline = now + limits::OPEN;
        }
    }

    /// Whether a notice waits for the person's answer.
    pub fn is_unconfirmed(&self) -> bool {
        !self.role.unconfirmed.is_empty()
    }

    fn asked(&mut self, index: usize, ask: AuthAsk) -> Result<(), Violation> {
        let path = &mut self.paths[index];
        if path.progress != Progress::Auth {
            return Err(Violation::Unexpected { frame: "AUTH_ASK" });
        }
        if usize::from(path.asked) == limits::SESSION_QUESTIONS {
            return Err(Violation::TooMany {
                frame: "AUTH_ASK",
                limit: limits::SESSION_QUESTIONS,
            });
        }
        path.asked += 1;
        path.unanswered += 1;
        // A person may be asked; the agent knows for how long.
        path.deadline = Moment::NEVER;
        self.events.push_back(Event::Asked {
            path: path.key,
            ask,
        });
        Ok(())
    }

    fn authenticated(&mut self, index: usize, now: Moment) -> Result<(), Violation> {
        let received = self.count_written();
        let path = &mut self.paths[index];
        let (Progress::Auth, Some(claims)) = (path.progress, &path.claims) else {
            return Err(Violation::Unexpected { frame: "AUTH_DONE" });
        };
        path.deadline = now + limits::OPEN;
        let Pairing {
            attempt,
            path: paired,
        } = claims.pairing;
        if let (Some(exporter), Some(session)) = (&claims.exporter, self.id) {
            let generation = claims.generation;
            let proof = Claim {
                exporter,
                session,
                generation,
                received,
            }
            .prove(&self.secret);
            path.out.put(ResumeAsk {
                session,
                generation,
                received,
                proof,
                attempt,
                path: paired,
            });
            path.progress = Progress::Resuming;
            self.incoming.acknowledge(received);
        } else if let Some(request) = self.role.request.take() {
            let Request {
                service,
                instance,
                program,
                posture,
            } = *request;
            path.out.put(Open {
                service,
                instance,
                program,
                attempt,
                path: paired,
                posture,
            });
            path.progress = Progress::Opening;
            self.stage = Stage::Open;
        }
        Ok(())
    }

    fn noticed(&mut self, index: usize, notice: Notice) -> Result<(), Violation> {
        let path = &mut self.paths[index];
        if path.progress != Progress::Opening {
            return Err(Violation::Unexpected { frame: "NOTICE" });
        }
        if self.role.noticed == limits::SESSION_QUESTIONS {
            return Err(Violation::TooMany {
                frame: "NOTICE",
                limit: limits::SESSION_QUESTIONS,
            });
        }
        if Sha256::digest(notice.text.as_bytes())[..] != notice.hash.0 {
            return Err(Violation::NoticeHash { hash: notice.hash });
        }
        path.deadline = Moment::NEVER;
        self.role.noticed += 1;
        self.role.unconfirmed.push(notice.hash);
        self.events.push_back(Event::Notice(notice));
        Ok(())
    }

    fn opened(&mut self, index: usize, opened: Opened) -> Result<(), Violation> {
        let path = &mut self.paths[index];
        if path.progress != Progress::Opening || !self.role.unconfirmed.is_empty() {
            return Err(Violation::Unexpected { frame: "OPENED" });
        }
        path.progress = Progress::Carrying;
        path.claims = None;
        path.deadline = Moment::NEVER;
        self.id = Some(opened.session);
        self.stage = Stage::Session;
        self.resume_limit = Duration::from_secs(opened.resume_limit.into());
        self.events.push_back(Event::Opened(opened));
        Ok(())
    }

    fn resumed(&mut self, index: usize, theirs: u64, now: Moment) -> Result<(), Violation> {
        let path = &self.paths[index];
        let (Progress::Resuming, Some(claims)) = (path.progress, &path.claims) else {
            return Err(Violation::Unexpected { frame: "RESUMED" });
        };
        if claims.generation > self.generation {
            return self.carry(index, claims.generation, theirs, now);
        }
        // The agent took a newer path meanwhile, and this answer was the slower one.
        self.retire(index, now);
        Ok(())
    }

    /// What concerns a session that is open comes by a path that carries it.
    fn told(&mut self, index: usize, frame: &'static str, event: Event) -> Result<(), Violation> {
        if !matches!(
            self.paths[index].progress,
            Progress::Carrying | Progress::Older
        ) {
            return Err(Violation::Unexpected { frame });
        }
        self.events.push_back(event);
        Ok(())
    }
}

impl Role for Client {}

impl Acts for Client {
    const DIALS: bool = true;

    fn frame(
        session: &mut Session<Self>,
        path: usize,
        frame: Frame<'_>,
        now: Moment,
    ) -> Result<(), Violation> {
        match frame {
            Frame::AuthAsk(ask) => session.asked(path, ask),
            Frame::AuthDone(_) => session.authenticated(path, now),
            Frame::Notice(notice) => session.noticed(path, notice),
            Frame::Opened(opened) => session.opened(path, opened),
            Frame::Resumed(resumed) => session.resumed(path, resumed.received, now),
            Frame::Standby(standby) => session.told(path, "STANDBY", Event::Standby(standby.node)),
            Frame::Migrate(migrate) => session.told(
                path,
                "MIGRATE",
                Event::Migrate {
                    within: migrate.within,
                },
            ),
            frame => Err(Violation::Unexpected {
                frame: frame.name(),
            }),
        }
    }

    fn put(&mut self, _: &mut Output) {}
}
