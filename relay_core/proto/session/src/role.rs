//! Where agent and client differ: the frames that only one of them receives, and the frames that only one of them sends.
use telerelay_wire::Moment;
use telerelay_wire::inner::Frame;

use crate::path::Output;
use crate::session::Session;
use crate::violation::Violation;

/// An end of a session: [`Agent`](crate::Agent) or [`Client`](crate::Client).
pub trait Role: Acts {}

/// What a role does; reachable only inside this crate, so that no third role appears.
pub trait Acts: Sized {
    /// Only clients dial.
    const DIALS: bool;

    /// Takes a frame that the streams and the silence of a path do not concern.
    fn frame(
        session: &mut Session<Self>,
        path: usize,
        frame: Frame<'_>,
        now: Moment,
    ) -> Result<(), Violation>;

    /// Puts the role's own frames that wait for the sending path of a session that is open.
    fn put(&mut self, out: &mut Output);
}
