//! One path at the agent: who is it, may a session open, and the desktop behind it (PROTOCOL.md §7, §8.1).
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use telerelay_guard::rfb::Settings;
use telerelay_leg::config::inner_server;
use telerelay_leg::trust::Refusal;
use telerelay_outer::PathKind;
use telerelay_outer::agent::PathReport;
use telerelay_session::{
    Agent as AgentRole, AgentSession, Event, Offer, Offsets, Pairing, ResumeSecret, Session,
};
use telerelay_wire::bounded::{List, Text};
use telerelay_wire::ids::{SessionId, Stage};
use telerelay_wire::limits;
use telerelay_wire::outer::Incoming;
use telerelay_wire::{Code, Reason};
use tokio::time::{Instant, sleep_until};

use super::sessions::Place;
use super::{Guarding, Office, PathStart, SessionRules};
use crate::attached::Attached;
use crate::clock::OsEntropy;
use crate::connection::Leg;
use crate::event::{AgentEvent, Ended, Opened};
use crate::guarded::Guarded;
use crate::local::Local;
use crate::pump::{Outcome, PATH, Secured, Side, kind_of};
use crate::stack::StackError;

/// What became of a path.
struct Served {
    report: PathReport,
    kind: PathKind,
    traffic: Option<Offsets>,
    detail: String,
}

impl Served {
    /// A path that came to an end before there was a session.
    fn early(report: PathReport, detail: String) -> Self {
        Self {
            report,
            kind: PathKind::Wrapped,
            traffic: None,
            detail,
        }
    }
}

/// Runs the path to its end: what there is to tell of it, and the report for `SESSION_END`.
pub(super) async fn run(office: &Arc<Office>, leg: Leg, start: &PathStart) -> (Ended, PathReport) {
    let served = Box::pin(serve(office, leg, start)).await;
    let lasted = office.clock.now().since(start.begun.at);
    tell(&start.begun.incoming, served, lasted)
}

/// The end of a path that its own task did not live to tell.
pub(super) fn broke_off(incoming: &Incoming, code: Code, lasted: Duration) -> (Ended, PathReport) {
    let served = Served::early(report(code, Stage::Inner, None), String::new());
    tell(incoming, served, lasted)
}

fn tell(incoming: &Incoming, served: Served, duration: Duration) -> (Ended, PathReport) {
    let Served {
        report,
        kind,
        traffic,
        detail,
    } = served;
    let ended = Ended {
        attempt: incoming.attempt,
        path: Some(incoming.path),
        session: report.session,
        client: Some(incoming.client),
        path_kind: Some(kind),
        code: report.code.clone(),
        stage: report.stage,
        duration,
        sent: traffic.map_or(0, |offsets| offsets.read),
        received: traffic.map_or(0, |offsets| offsets.written),
        retry: None,
        place: None,
        detail,
    };
    (ended, report)
}

async fn serve(office: &Arc<Office>, leg: Leg, start: &PathStart) -> Served {
    let PathStart {
        begun,
        rules,
        direct,
    } = start;
    let (incoming, direct) = (&begun.incoming, *direct);
    let mut place = office.sessions.begin(incoming.path, incoming.client);
    let inner = inner_server(
        &office.credentials,
        office.root.clone(),
        incoming.client,
        office.revoked.clone(),
    );
    let secured = match inner {
        Ok(inner) => tokio::select! {
            secured = Secured::handshake(leg, inner.into(), direct) => secured,
            // Stopped, cut, revoked: there is no session yet that could say CLOSE.
            code = place.told() => {
                return Served::early(report(code, Stage::Inner, None), String::new());
            }
        },
        Err(error) => Err(StackError::Inner(error)),
    };
    let secured = match secured {
        Ok(secured) => secured,
        Err(error) => return refused(&error),
    };
    let offer = Offer {
        service: incoming.service,
        client: incoming.client,
        notices: rules.notices.clone(),
        // A session ends with its path: nothing dials a second one yet.
        resume_limit: 0,
        idle_timeout: rules.idle_timeout,
        rules: shown(&rules.shown),
        nodes: List::default(),
    };
    let pairing = Pairing {
        attempt: incoming.attempt,
        path: incoming.path,
    };
    let session = secured
        .resume_secret()
        .map_err(|error| error.to_string())
        .and_then(|secret| {
            AgentSession::new(
                offer,
                ResumeSecret::new(secret),
                PATH,
                pairing,
                office.clock.now(),
            )
            .map_err(|error| error.to_string())
        });
    let mut session = match session {
        Ok(session) => session,
        Err(detail) => {
            return Served::early(report(Code::Internal, Stage::Auth, None), detail);
        }
    };
    session.authenticated(PATH, office.clock.now());
    let kind = kind_of(direct);
    let side = AgentSide {
        office: office.clone(),
        path: incoming.path,
        attempt: incoming.attempt,
        client: incoming.client,
        kind,
        rules: rules.clone(),
        place,
        connecting: None,
        client_is_done: false,
        desktop_over: None,
        ends: rules
            .ends
            .map(|(after, code)| (office.clock.instant(begun.at) + after, code)),
        failure: String::new(),
    };
    let (outcome, side) = secured.run(session, side, office.clock).await;
    let Outcome {
        ended,
        session,
        refused,
        ..
    } = outcome;
    let notices = session.confirmed().to_vec().try_into().unwrap_or_default();
    Served {
        report: PathReport {
            code: ended.code,
            stage: ended.stage,
            session: session.id(),
            notices,
        },
        kind,
        traffic: Some(session.offsets()),
        detail: refused.map_or(side.failure, |refusal| refusal.to_string()),
    }
}

/// The inner handshake failed: what that means.
fn refused(error: &StackError) -> Served {
    let code = match error {
        StackError::Inner(error) if Refusal::of(error) == Some(Refusal::Revoked) => Code::Revoked,
        StackError::Inner(_) | StackError::Silent => Code::Identity,
        _ => Code::PathLost,
    };
    Served::early(report(code, Stage::Inner, None), error.to_string())
}

fn report(code: Code, stage: Stage, session: Option<SessionId>) -> PathReport {
    PathReport {
        code: code.into(),
        stage,
        session,
        notices: List::default(),
    }
}

/// The rules as OPENED carries them: what is too long for it is cut, what is too much left out.
fn shown(rules: &[String]) -> List<Text<1, 64>, 0, 32> {
    let rules: Vec<_> = rules
        .iter()
        .filter_map(|rule| Text::try_from(&rule[..rule.floor_char_boundary(64)]).ok())
        .take(32)
        .collect();
    rules.try_into().unwrap_or_default()
}

/// What an agent adds to a session.
pub(super) struct AgentSide {
    office: Arc<Office>,
    path: telerelay_wire::ids::PathId,
    attempt: telerelay_wire::ids::AttemptId,
    client: telerelay_wire::ids::DeviceId,
    kind: PathKind,
    rules: SessionRules,
    place: Place,
    connecting: Option<Pin<Box<dyn Future<Output = io::Result<Local>> + Send>>>,
    /// The client's stream has ended: the desktop's end is then the natural one.
    client_is_done: bool,
    /// The desktop ended by itself: until when what it said may still travel.
    desktop_over: Option<Instant>,
    /// Until when the rules let a session last, and how it ends then.
    ends: Option<(Instant, Code)>,
    /// What broke on this side, for the log.
    failure: String,
}

impl AgentSide {
    /// The guard, which greets the viewer.
    fn guard(&self, session: &mut Session<AgentRole>) -> Option<Guarded> {
        match self.office.guarding {
            Guarding::Rfb => {
                let settings = Settings {
                    view_only: self.rules.view_only,
                    secret: self.office.secret.clone(),
                };
                let mark = self.rules.watermark.clone();
                let seconds = self.rules.idle_timeout;
                let idle_timeout = (seconds > 0).then(|| Duration::from_secs(seconds.into()));
                let now = self.office.clock.now();
                Some(Guarded::begin(settings, mark, idle_timeout, session, now))
            }
            #[cfg(feature = "open")]
            Guarding::Open => None,
        }
    }
}

/// What an agent waits for.
pub(super) enum Wake {
    /// The desktop is there, or cannot be reached.
    Desktop(io::Result<Local>),
    /// The session is to end.
    End(Code),
}

impl Side<AgentRole> for AgentSide {
    type Wake = Wake;

    fn event(&mut self, session: &mut Session<AgentRole>, event: Event) {
        match event {
            Event::ConnectDesktop { instance, .. } => {
                match self.place.enter(instance, self.rules.sessions) {
                    Ok(()) => {
                        let desktop = self.office.desktop.clone();
                        self.connecting =
                            Some(Box::pin(async move { Local::connect(&desktop).await }));
                    }
                    Err(code) => session.close(code),
                }
            }
            // No factor was asked for: an answer is none of this version's.
            Event::Answered { .. } => session.close(Code::Unsupported),
            event => tracing::debug!(attempt = %self.attempt, ?event, "the session tells"),
        }
    }

    fn reached(&mut self, stage: Stage) {
        tracing::debug!(attempt = %self.attempt, %stage, "the session has come to");
    }

    fn path_gone(&mut self, error: &StackError, unproven: bool) {
        self.failure = error.to_string();
        if unproven {
            // Before the other end hears of it: its next request finds this agent wrapped.
            let path = self.path;
            self.office
                .drive(|machine, now| machine.unproven(path, now));
        }
    }

    fn local_shut(&mut self) {
        self.client_is_done = true;
    }

    fn local_over(&mut self, session: &mut Session<AgentRole>, _broken: bool) {
        // A desktop that closes with the client's last bytes unread is reset; behind the client's end that is no loss either.
        if self.client_is_done {
            session.local_eof();
        } else {
            self.desktop_over
                .get_or_insert(Instant::now() + limits::LAST_SCREEN);
        }
    }

    fn turned(&mut self, session: &mut Session<AgentRole>) {
        let offsets = session.offsets();
        if self.desktop_over.is_some() && offsets.acked == offsets.read {
            session.close(Code::DesktopLost);
        }
    }

    /// Its place is kept until the path is gone: a desktop that is still connected is one.
    fn over(&mut self) {}

    async fn wait(&mut self) -> Wake {
        let connected = async {
            match &mut self.connecting {
                Some(connecting) => connecting.await,
                None => std::future::pending().await,
            }
        };
        let is_over = async {
            match self.desktop_over {
                Some(until) => sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        let is_due = async {
            match self.ends {
                Some((until, code)) => {
                    sleep_until(until).await;
                    code
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            code = self.place.told() => Wake::End(code),
            code = is_due => Wake::End(code),
            local = connected => Wake::Desktop(local),
            () = is_over => Wake::End(Code::DesktopLost),
        }
    }

    fn woken(&mut self, session: &mut Session<AgentRole>, wake: Wake) -> Option<Attached> {
        match wake {
            Wake::End(code) => {
                session.close(Reason::from(code));
                None
            }
            Wake::Desktop(Err(error)) => {
                self.connecting = None;
                self.failure = format!("{}: {error}", self.office.desktop);
                session.close(Code::DesktopAbsent);
                None
            }
            Wake::Desktop(Ok(local)) => {
                self.connecting = None;
                session.desktop_connected(&mut OsEntropy);
                // Without it the session has ended meanwhile.
                let id = session.id()?;
                (self.office.sink)(AgentEvent::Opened(Opened {
                    attempt: self.attempt,
                    session: id,
                    client: Some(self.client),
                    path_kind: self.kind,
                    rules: self.rules.shown.clone(),
                }));
                let guarded = self.guard(session);
                Some(Attached::new(local, guarded))
            }
        }
    }
}
