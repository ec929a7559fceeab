//! What an endpoint tells: to Python, to the load driver.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use telerelay_outer::PathKind;
use telerelay_wire::Reason;
use telerelay_wire::ids::{AttemptId, DeviceId, NoticeHash, PathId, SessionId, Stage};
use telerelay_wire::inner;
use telerelay_wire::outer::{Incoming, News, Welcome};
use tokio::sync::mpsc;

use crate::local::LocalAddress;

/// Where events go. Called on the endpoint's own threads with its lock held: it must neither wait nor call the endpoint.
pub type Sink<E> = Arc<dyn Fn(E) + Send + Sync>;

/// What an agent tells.
#[derive(Clone, Debug)]
pub enum AgentEvent {
    /// The ready connection stands.
    Online {
        /// The address that was dialled.
        address: String,
        /// What the node said.
        welcome: Box<Welcome>,
    },
    /// The ready connection is gone or could not be made.
    Offline {
        /// Why.
        reason: Reason,
        /// Until the next dial; `None`: the node said not to come back.
        wait: Option<Duration>,
    },
    /// A client asks; answered by `allow` or `refuse`.
    Incoming(Box<Incoming>),
    /// A document has a new version.
    News(Box<News>),
    /// A session is open.
    Opened(Opened),
    /// A session, or an attempt that did not become one, has ended.
    Ended(Box<Ended>),
    /// The agent has left; no event follows.
    Stopped,
}

/// What a client tells.
#[derive(Clone, Debug)]
pub enum ClientEvent {
    /// An attempt got to this stage.
    Reached {
        /// Which.
        attempt: AttemptId,
        /// How far.
        stage: Stage,
        /// Since the attempt began.
        elapsed: Duration,
        /// The node's name at `dial`, the inner group at `inner`.
        detail: String,
    },
    /// The path was lost and is asked for again, as an attempt of its own.
    Again {
        /// The attempt that the request goes on with.
        attempt: AttemptId,
    },
    /// A text that the person confirms before the session opens; answered by [`Notice::answer`].
    Notice(Notice),
    /// A session is open.
    Opened(Opened),
    /// A request has ended.
    Ended(Box<Ended>),
    /// The local door listens.
    DoorOpen(LocalAddress),
    /// Somebody else of this machine was at the door.
    DoorRefused,
    /// No session is left.
    Finished {
        /// What to exit with.
        code: Reason,
        /// Of which attempt.
        attempt: AttemptId,
    },
    /// The client has left; no event follows.
    Stopped,
}

/// A text that a person confirms before a session opens (PROTOCOL.md §8.1).
#[derive(Clone, Debug)]
pub struct Notice {
    /// The attempt that waits for it.
    pub attempt: AttemptId,
    /// SHA-256 of the text.
    pub hash: NoticeHash,
    /// What is shown.
    pub text: String,
    answer: mpsc::Sender<(NoticeHash, bool)>,
    /// One answer of each notice has room in the channel, and no second is sent.
    is_answered: Arc<AtomicBool>,
}

impl Notice {
    pub(crate) fn new(
        attempt: AttemptId,
        notice: &inner::Notice,
        answer: mpsc::Sender<(NoticeHash, bool)>,
    ) -> Self {
        Self {
            attempt,
            hash: notice.hash,
            text: notice.text.to_string(),
            answer,
            is_answered: Arc::default(),
        }
    }

    /// Tells what the person answered: a no ends the session. An answer to a session that has ended, or a second one, changes nothing.
    pub fn answer(&self, is_confirmed: bool) {
        if !self.is_answered.swap(true, Ordering::Relaxed) {
            // Closed: nobody waits any more.
            let _answered = self.answer.try_send((self.hash, is_confirmed));
        }
    }
}

/// An open session (PROTOCOL.md §8.1).
#[derive(Clone, Debug)]
pub struct Opened {
    /// Its attempt.
    pub attempt: AttemptId,
    /// The session.
    pub session: SessionId,
    /// At the agent: whose it is.
    pub client: Option<DeviceId>,
    /// How this end's leg travels, wrapped or direct; the other end's is the node's to know.
    pub path_kind: PathKind,
    /// The rules that are shown to the person.
    pub rules: Vec<String>,
}

/// The end of a session, or of an attempt that did not become one; exactly one each.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Its attempt.
    pub attempt: AttemptId,
    /// The path it ran on, where there was one.
    pub path: Option<PathId>,
    /// The session, where one was open.
    pub session: Option<SessionId>,
    /// At the agent: whose it was.
    pub client: Option<DeviceId>,
    /// How this end's leg travelled, where there was a path.
    pub path_kind: Option<PathKind>,
    /// How.
    pub code: Reason,
    /// How far it had come.
    pub stage: Stage,
    /// From the first dial, or from INCOMING, to the end.
    pub duration: Duration,
    /// Bytes of the local side that this endpoint sent.
    pub sent: u64,
    /// Bytes that it wrote to the local side.
    pub received: u64,
    /// Seconds until another try makes sense; `None`: do not.
    pub retry: Option<u32>,
    /// How many are before it, where it was one too many.
    pub place: Option<u32>,
    /// Where it broke, for a person; never content.
    pub detail: String,
}
