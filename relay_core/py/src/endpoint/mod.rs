//! Agent and client as Python sees them: handles that are driven by calls and tell by events.
mod agent;
mod client;
mod event;

pub(crate) use agent::{Agent, AgentOffline, AgentOnline, Incoming, News, SessionRules};
pub(crate) use client::{
    AskedAgain, Client, DoorOpen, DoorRefused, Finished, NoticeAsked, StageReached,
};
pub(crate) use event::{SessionEnded, SessionOpened, Stopped};

use std::sync::{Mutex, PoisonError};

use telerelay_endpoint::PathChoice;
use telerelay_leg::credentials::Credentials;
use telerelay_leg::trust::Anchor;
use telerelay_wire::Code;

use crate::dial::Dial;
use crate::failure::Failure;

/// What a handle was made from, until it is started.
struct Unstarted<C>(Mutex<Option<C>>);

impl<C> Unstarted<C> {
    fn new(config: C) -> Self {
        Self(Mutex::new(Some(config)))
    }

    /// Changes the configuration; false where the handle was started already.
    fn change(&self, change: impl FnOnce(&mut C)) -> bool {
        let mut config = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        config.as_mut().map(change).is_some()
    }

    fn take(&self) -> Result<C, Failure> {
        let config = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        config.ok_or_else(|| Failure::new(Code::Usage, "a handle is started once"))
    }
}

/// The certificate of an endpoint, which a dial may go without and a session may not.
fn credentials(dial: &Dial) -> Result<Credentials, Failure> {
    dial.credentials
        .clone()
        .ok_or_else(|| Failure::new(Code::Certificate, "a session needs a chain and a key"))
}

fn anchor(root: &[u8]) -> Result<Anchor, Failure> {
    Anchor::from_der(root).map_err(|error| Failure::new(Code::Certificate, error))
}

/// The setting `path`.
fn path_choice(text: &str) -> Result<PathChoice, Failure> {
    match text {
        "auto" => Ok(PathChoice::Auto),
        "wrapped" => Ok(PathChoice::Wrapped),
        other => Err(usage(format!("path is auto or wrapped, not {other}"))),
    }
}

fn usage(error: impl ToString) -> Failure {
    Failure::new(Code::Usage, error)
}
