//! One path at the client: is it the computer, does the session open, and the viewer in front of it (PROTOCOL.md §7, §8.1).
use std::sync::Arc;

use rustls::NamedGroup;
use telerelay_leg::config::inner_client;
use telerelay_outer::client::PathEnd;
use telerelay_session::{
    Cause, Client as ClientRole, ClientSession, Ended, Event, Pairing, Request as Ask,
    ResumeSecret, Session,
};
use telerelay_wire::ids::{AttemptId, Resume, SessionId, Stage};
use telerelay_wire::limits;
use telerelay_wire::{Code, Reason};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use super::request::{Carried, PathStart, Request, Viewer};
use crate::connection::Leg;
use crate::event::{ClientEvent, Opened};
use crate::local::Local;
use crate::pump::{Outcome, PATH, Secured, Side, Wake};
use crate::stack::StackError;

/// Runs the path to its end.
pub(super) async fn run(request: &Arc<Request>, leg: Leg, start: PathStart) -> (PathEnd, Carried) {
    match open(request, leg, start).await {
        Ok(carried) => carried,
        Err((end, detail)) => (
            end,
            Carried {
                detail,
                ..Carried::default()
            },
        ),
    }
}

/// The inner handshake, and the session above it. An error is the end of a path that never carried one, with what broke.
async fn open(
    request: &Arc<Request>,
    leg: Leg,
    start: PathStart,
) -> Result<(PathEnd, Carried), (PathEnd, String)> {
    let PathStart {
        path,
        attempt,
        viewer,
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
            secured = Secured::handshake(leg, inner.into()) => secured,
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
    let side = ClientSide {
        request: request.clone(),
        attempt,
        viewer,
        opened,
        stopping,
        viewer_left: false,
        leaving: None,
        refused: false,
    };
    let (Outcome { ended, session }, side) = secured.run(session, side, home.clock).await;
    let carried = Carried {
        session: session.id(),
        offsets: Some(session.offsets()),
        viewer_left: side.viewer_left,
        detail: String::new(),
    };
    Ok((end_of(ended, session.id(), side.refused), carried))
}

/// What the end of the session means for the request. `refused`: the agent did not believe this end's certificate, which it says behind
/// this end's part of the handshake, so that it comes as the path's end; behind `AUTH_DONE` it has believed it.
fn end_of(ended: Ended, session: Option<SessionId>, refused: bool) -> PathEnd {
    let Ended { code, stage, cause } = ended;
    match (cause, session) {
        (Cause::PathLost, None) if refused && stage <= Stage::Auth => PathEnd::Closed {
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
    viewer: Arriving,
    /// Told when the session is open, by the first.
    opened: Option<oneshot::Sender<()>>,
    stopping: watch::Receiver<bool>,
    /// The viewer closed its sending side, or broke.
    viewer_left: bool,
    /// The viewer closed its sending side: how many bytes it had taken then, and until when it has to take more.
    leaving: Option<(u64, Instant)>,
    /// The agent did not believe this end's certificate.
    refused: bool,
}

impl Side<ClientRole> for ClientSide {
    fn event(&mut self, session: &mut Session<ClientRole>, event: Event) {
        match event {
            Event::Opened(opened) => {
                (self.request.home.sink)(ClientEvent::Opened(Opened {
                    attempt: self.attempt,
                    session: opened.session,
                    client: None,
                    rules: opened.rules.iter().map(ToString::to_string).collect(),
                }));
                if let Some(told) = self.opened.take() {
                    // Nobody listens any more: the client stops.
                    let _stopping = told.send(());
                }
            }
            // Factors and notices need somebody who is asked; this version has only the device key.
            Event::Asked { .. } | Event::Notice(_) => session.close(Code::Unsupported),
            event => tracing::debug!(attempt = %self.attempt, ?event, "the session tells"),
        }
    }

    fn reached(&mut self, stage: Stage) {
        self.request.reached(stage, String::new());
    }

    fn path_gone(&mut self, error: &StackError) {
        self.refused = matches!(error, StackError::Inner(rustls::Error::AlertReceived(_)));
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
        if let Arriving::Expected(first) = &mut self.viewer {
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
            _ = self.stopping.wait_for(|stopping| *stopping) => Wake::End(Code::Done),
            local = viewer => Wake::Local(Ok(local)),
            () = has_left => Wake::End(Code::ViewerGone),
        }
    }

    fn woken(&mut self, session: &mut Session<ClientRole>, wake: Wake) -> Option<Local> {
        match wake {
            Wake::Local(local) => {
                self.viewer = Arriving::Here(None);
                // A viewer comes as a stream; there is nothing that could fail.
                local.ok()
            }
            Wake::End(code) => {
                session.close(Reason::from(code));
                None
            }
        }
    }
}
