//! What a session tells its owner.
use telerelay_wire::bounded::Octets;
use telerelay_wire::ids::{Instance, NodeAddress, Program, Stage};
use telerelay_wire::inner::{AuthAnswer, AuthAsk, Notice, Opened};
use telerelay_wire::{Moment, Reason};

use crate::path::PathKey;
use crate::timer::Timer;
use crate::violation::Violation;

/// Something for the owner to do or to know. Take events until there are none after each call into the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Agent: the client answered a factor. Ask again, or call `authenticated`, or close.
    Answered {
        /// The path that is being opened.
        path: PathKey,
        /// The answer.
        answer: AuthAnswer,
    },
    /// Agent: OPEN fits INCOMING and every notice is confirmed. Connect to the desktop within
    /// [`DESKTOP`](telerelay_wire::limits::DESKTOP) and call `desktop_connected`, or close.
    ConnectDesktop {
        /// The client's process.
        instance: Instance,
        /// The client's program.
        program: Program,
        /// What the client says about its machine.
        posture: Option<Octets<0, 3072>>,
    },
    /// Client: the agent asks for a factor. Call `answer`, or close with `UNSUPPORTED`.
    Asked {
        /// The path that is being opened.
        path: PathKey,
        /// What is asked.
        ask: AuthAsk,
    },
    /// Client: show this to the person and call `confirm`, or close.
    Notice(Notice),
    /// Client: the session lives.
    Opened(Opened),
    /// Client: where the agent's ready connection waits.
    Standby(NodeAddress),
    /// Client: come to the standby within so many seconds, make before break.
    Migrate {
        /// Seconds.
        within: u16,
    },
    /// Client: the sending path is silent while own bytes are outstanding: dial a second one.
    DialParallel,
    /// A new path carries the session.
    Resumed {
        /// That path.
        path: PathKey,
        /// Its number.
        generation: u32,
    },
    /// The other end's stream was written to its end: shut the local socket's writing side down.
    LocalShutdown,
    /// The path is forgotten already: drop its connection.
    PathLost {
        /// That path.
        path: PathKey,
    },
    /// Nothing more will be said on this path: transmit what is left, send inner `close_notify`, and report
    /// `path_lost` at its end.
    PathDone {
        /// That path.
        path: PathKey,
    },
    /// No path carries the session. The client dials; the session ends where none has come by then.
    Disconnected {
        /// When it ends.
        until: Moment,
    },
    /// The session is over: told exactly once. Transmit what is left on each path, send inner `close_notify`; what
    /// waits for the local socket may still be written.
    Ended(Ended),
}

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The code of CLOSE, sent or received, or `PATH_LOST`.
    pub code: Reason,
    /// How far it had come.
    pub stage: Stage,
    /// Who ended it.
    pub cause: Cause,
}

/// Who ended a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The owner called `close`.
    Owner,
    /// The other end sent CLOSE.
    Peer,
    /// The other end broke the protocol.
    Violation(Violation),
    /// The path was lost, and the session may not live without one.
    PathLost,
    /// Something did not come in time.
    Timeout(Timer),
    /// Both streams ended and were written to their ends.
    Finished,
}
