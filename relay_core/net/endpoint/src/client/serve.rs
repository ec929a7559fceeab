//! One path at the client: is it the computer, does the session open, and the viewer in front of it (PROTOCOL.md §7, §8.1).
use std::sync::Arc;

use rustls::NamedGroup;
use telerelay_leg::config::inner_client;
use telerelay_outer::PathKind;
use telerelay_outer::client::PathEnd;
use telerelay_session::{
    Cause, Client as ClientRole, ClientSession, Ended, Event, Pairing, Request as Ask,
    ResumeSecret, Session,
};
use telerelay_wire::Code;
use telerelay_wire::ids::{AttemptId, NoticeHash, Resume, SessionId, Stage};
use telerelay_wire::limits;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use super::request::{Carried, PathStart, Request, Viewer};
use crate::attached::Attached;
use crate::connection::Leg;
use crate::event::{ClientEvent, Notice, Opened};
use crate::local::Local;
use crate::pump::{Outcome, PATH, Secured, Side, kind_of};
use crate::stack::StackError;

/// What became of a path.
pub(super) struct Served {
    pub(super) end: PathEnd,
    pub(super) carried: Carried,
    /// Who still waits for a session, where the path did not live to carry one.
    pub(super) unserved: Option<Viewer>,
}

/// Runs the path to its end.
pub(super) async fn run(request: &Arc<Request>, leg: Leg, start: PathStart) -> Served {
    // What a path needs is 18 KiB: too much to be carried within whoever waits for it.
    match Box::pin(open(request, leg, start)).await {
        Ok(served) => served,
        Err((end, detail)) => Served {
            end,
            carried: Carried {
                detail,
                ..Carried::default()
            },
            unserved: None,
        },
    }
}

/// The inner handshake, and the session above it. An error is the end of a path that never carried one, with what broke.
async fn open(
    request: &Arc<Request>,
    leg: Leg,
    start: PathStart,
) -> Result<Served, (PathEnd, String)> {
    let PathStart {
        path,
        attempt,
        viewer,
        direct,
    } = start;
    let home = &request.home;
    let closed = |code: Code, stage: Stage| PathEnd::Closed {
        code: code.into(),
        stage,
    };
    // An agent that would take the session up again; this client keeps none without a path.
    let viewer = viewer.ok_or_else(|| (closed(Code::SessionGone, Stage::Open), String::new()))?;
    let mut stopping = home.stopping.subscribe();
    let secured = match inner_client(&home.credentials, home.root.clone(), home.computer) {
        Ok(inner) => tokio::select! {
            secured = Secured::handshake(leg, inner.into(), direct) => secured,
            // An error: the client itself is gone.
            _ = stopping.wait_for(|stopping| *stopping) => {
                return Err((closed(Code::Interrupted, Stage::Inner), String::new()));
            }
        },
        Err(error) => Err(StackError::Inner(error)),
    };
    let secured = secured.map_err(|error| {
        let end = match error {
            StackError::Inner(_) | StackError::Silent => closed(Code::Identity, Stage::Inner),
            _ => PathEnd::Lost {
                stage: Stage::Inner,
                resume: None,
            },
        };
        (end, error.to_string())
    })?;
    request.reached(
        Stage::Inner,
        secured.group().map(name_of).unwrap_or_default(),
    );
    let secret = secured
        .resume_secret()
        .map_err(|error| (closed(Code::Internal, Stage::Inner), error.to_string()))?;
    let ask = Ask {
        service: home.service,
        instance: home.instance,
        program: home.program.clone(),
        posture: None,
    };
    let session = ClientSession::new(
        ask,
        ResumeSecret::new(secret),
        PATH,
        Pairing { attempt, path },
        home.clock.now(),
    );
    let (viewer, opened) = match viewer {
        Viewer::Here(local) => (Arriving::Here(Some(local)), None),
        Viewer::Expected { first, opened } => (Arriving::Expected(first), Some(opened)),
    };
    let (answer, answers) = mpsc::channel(limits::SESSION_QUESTIONS);
    let side = ClientSide {
        request: request.clone(),
        attempt,
        kind: kind_of(direct),
        answer,
        answers,
        viewer,
        opened,
        stopping,
        viewer_left: false,
        leaving: None,
        stage: Stage::Inner,
        refused: false,
        is_open: false,
        unproven: None,
    };
    let (outcome, side) = secured.run(session, side, home.clock).await;
    Ok(side.served(outcome))
}

/// What the end of the session means for the request. `refused`: the agent did not believe this end's certificate, which it says behind
/// this end's part of the handshake, so that it comes as the path's end.
fn end_of(ended: Ended, session: Option<SessionId>, refused: bool) -> PathEnd {
    let Ended { code, stage, cause } = ended;
    match (cause, session) {
        (Cause::PathLost, None) if refused => PathEnd::Closed {
            code: Code::Identity.into(),
            stage: Stage::Inner,
        },
        (Cause::PathLost, session) => PathEnd::Lost {
            stage,
            resume: session.map(|session| Resume {
                session,
                generation: 1,
            }),
        },
        _ => PathEnd::Closed { code, stage },
    }
}

fn name_of(group: NamedGroup) -> String {
    format!("{group:?}")
}

/// Where the viewer is.
enum Arriving {
    Here(Option<Local>),
    Expected(mpsc::Receiver<Local>),
}

/// What a client adds to a session.
struct ClientSide {
    request: Arc<Request>,
    attempt: AttemptId,
    kind: PathKind,
    /// Where a person's answers come from, and whether each notice is confirmed.
    answer: mpsc::Sender<(NoticeHash, bool)>,
    answers: mpsc::Receiver<(NoticeHash, bool)>,
    viewer: Arriving,
    /// Told when the session is open, by the first.
    opened: Option<oneshot::Sender<()>>,
    stopping: watch::Receiver<bool>,
    /// The viewer closed its sending side, or broke.
    viewer_left: bool,
    /// The viewer closed its sending side: how many bytes it had taken then, and until when it has to take more.
    leaving: Option<(u64, Instant)>,
    /// How far the session has come.
    stage: Stage,
    /// The agent did not believe this end's certificate.
    refused: bool,
    /// The session was opened, and perhaps carried something.
    is_open: bool,
    /// The path was lost before.
    unproven: Option<Unproven>,
}

/// A path that was lost behind its handshake, before a session was open.
#[derive(Clone, Copy, Debug)]
struct Unproven {
    /// This end's leg was direct and had not proved itself.
    is_own: bool,
    /// The agent ended it by an alert before it had believed this end. Where no leg is direct nothing but a refusal brings one
    /// about.
    is_word: bool,
}

impl ClientSide {
    /// What became of the path, now that it is over.
    fn served(self, outcome: Outcome<ClientRole>) -> Served {
        let Outcome {
            ended,
            session,
            unserved,
            ..
        } = outcome;
        let path_kind = Some(self.kind);
        if let Some(Unproven { is_own, is_word }) = self.unproven {
            let (code, stage) = if is_word {
                (Code::Identity, Stage::Inner)
            } else {
                (Code::PathLost, ended.stage)
            };
            return Served {
                end: PathEnd::Unproven {
                    stage,
                    is_own,
                    code,
                },
                carried: Carried {
                    path_kind,
                    ..Carried::default()
                },
                unserved: self.still_waits(unserved),
            };
        }
        Served {
            carried: Carried {
                path_kind,
                session: session.id(),
                offsets: Some(session.offsets()),
                viewer_left: self.viewer_left,
                detail: String::new(),
            },
            end: end_of(ended, session.id(), self.refused),
            unserved: None,
        }
    }

    /// Who waits for a session that was not carried. `let_in`: a viewer that was here already.
    fn still_waits(self, let_in: Option<Local>) -> Option<Viewer> {
        match (self.viewer, self.opened) {
            (Arriving::Expected(first), Some(opened)) => Some(Viewer::Expected { first, opened }),
            (Arriving::Here(Some(local)), _) => Some(Viewer::Here(local)),
            _ => let_in.map(Viewer::Here),
        }
    }
}

/// What a client waits for.
pub(super) enum Wake {
    /// The viewer is there.
    Viewer(Local),
    /// The person's answer to a notice.
    Answer(NoticeHash, bool),
    /// The client stops.
    Stop,
    /// The viewer takes nothing any more.
    Left,
}

impl Side<ClientRole> for ClientSide {
    type Wake = Wake;

    fn event(&mut self, session: &mut Session<ClientRole>, event: Event) {
        match event {
            Event::Opened(opened) => {
                self.is_open = true;
                (self.request.home.sink)(ClientEvent::Opened(Opened {
                    attempt: self.attempt,
                    session: opened.session,
                    client: None,
                    path_kind: self.kind,
                    rules: opened.rules.iter().map(ToString::to_string).collect(),
                }));
                if let Some(told) = self.opened.take() {
                    // Nobody listens any more: the client stops.
                    let _stopping = told.send(());
                }
            }
            Event::Notice(notice) => (self.request.home.sink)(ClientEvent::Notice(Notice::new(
                self.attempt,
                &notice,
                self.answer.clone(),
            ))),
            // This version has only the device key.
            Event::Asked { .. } => session.close(Code::Unsupported),
            event => tracing::debug!(attempt = %self.attempt, ?event, "the session tells"),
        }
    }

    fn reached(&mut self, stage: Stage) {
        self.stage = stage;
        self.request.reached(stage, String::new());
    }

    fn path_gone(&mut self, error: &StackError, unproven: bool) {
        self.refused = error.is_refusal();
        if !self.is_open && !self.refused {
            self.unproven = Some(Unproven {
                is_own: unproven,
                is_word: self.stage <= Stage::Auth && error.is_alert(),
            });
        }
    }

    fn local_shut(&mut self) {}

    fn local_over(&mut self, session: &mut Session<ClientRole>, broken: bool) {
        self.viewer_left = true;
        if broken {
            session.close(Code::ViewerGone);
        } else {
            session.local_eof();
            self.leaving = Some((
                session.offsets().written,
                Instant::now() + limits::VIEWER_LEAVING,
            ));
        }
    }

    fn turned(&mut self, session: &mut Session<ClientRole>) {
        if let Some((written, until)) = &mut self.leaving {
            let now_written = session.offsets().written;
            if now_written > *written {
                (*written, *until) = (now_written, Instant::now() + limits::VIEWER_LEAVING);
            }
        }
    }

    /// Nobody is served by this session any more: who has come for it and was not taken gets one of their own.
    fn over(&mut self) {
        if self.unproven.is_none()
            && let Arriving::Expected(first) = &mut self.viewer
        {
            first.close();
            if let Ok(local) = first.try_recv() {
                self.request.home.serve(local);
            }
        }
    }

    async fn wait(&mut self) -> Wake {
        let viewer = async {
            match &mut self.viewer {
                Arriving::Here(local) => match local.take() {
                    Some(local) => local,
                    None => std::future::pending().await,
                },
                Arriving::Expected(first) => match first.recv().await {
                    Some(local) => local,
                    None => std::future::pending().await,
                },
            }
        };
        let has_left = async {
            match self.leaving {
                Some((_, until)) => sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // An error: the client itself is gone.
            _ = self.stopping.wait_for(|stopping| *stopping) => Wake::Stop,
            Some((hash, is_confirmed)) = self.answers.recv() => Wake::Answer(hash, is_confirmed),
            local = viewer => Wake::Viewer(local),
            () = has_left => Wake::Left,
        }
    }

    fn woken(&mut self, session: &mut Session<ClientRole>, wake: Wake) -> Option<Attached> {
        match wake {
            Wake::Viewer(viewer) => {
                self.viewer = Arriving::Here(None);
                return Some(Attached::new(viewer, None));
            }
            Wake::Answer(hash, true) => session.confirm(hash, self.request.home.clock.now()),
            Wake::Answer(_, false) => session.close(Code::Notices),
            // Whoever leaves without an answer has not confirmed.
            Wake::Stop if session.is_unconfirmed() => session.close(Code::Notices),
            Wake::Stop => session.close(Code::Done),
            Wake::Left => session.close(Code::ViewerGone),
        }
        None
    }
}
