//! Two legs that are a path, from PAIRED to its end (PROTOCOL.md §6).
//!
//! `half` is one leg and how far it has put its outer TLS down; `direction` moves what comes by one leg to the other, as the
//! table of §6 says; `direct` gives the path away when nothing of it is in outer TLS any more. This is the life of both together.
mod direct;
mod direction;
mod half;

use std::future::poll_fn;
use std::task::{Context, Poll};

use telerelay_outer::node::{Cause, PathEnd};
use telerelay_outer::{PathKind, Purpose, Traffic};
use telerelay_wire::Code;
use telerelay_wire::limits;
use telerelay_wire::outer::{Frame, Paired};

use crate::control::{Control, Order, PathOrder};
use crate::counters::{Counted, Counters, Ending};
use crate::leg::{Leg, Lent};
use crate::mailbox::Inbox;
use half::Half;

/// Why a path ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Both directions came to their end.
    Done,
    /// The machine wants it.
    Ordered,
    /// A leg broke.
    Broken,
    /// A leg broke the rules.
    Breach(Code),
}

impl From<End> for Ending {
    fn from(end: End) -> Self {
        match end {
            End::Done => Self::Done,
            End::Ordered => Self::Ordered,
            End::Broken => Self::Failed(None),
            End::Breach(_) => Self::Breach,
        }
    }
}

/// What becomes of a path.
enum Next {
    End(End),
    /// Nothing of it is in outer TLS any more.
    Direct,
}

/// Runs a path until it is direct or has ended, and tells the machine. `client` is the leg whose task this is, on this worker.
pub(crate) async fn run(
    control: &Control,
    mut client: Leg,
    order: PathOrder,
    mut inbox: Inbox<Order>,
    worker: usize,
) {
    let PathOrder {
        agent,
        mut end,
        purpose,
        set_up,
        consented,
    } = order;
    // The agent's task gives its leg when it next runs; if it has ended, this ends too.
    let mut agent = match agent.await.map(Lent::take) {
        Ok(Ok(agent)) => agent,
        Ok(Err(error)) => {
            tracing::warn!(%error, "a leg could not be moved");
            return client.finish().await;
        }
        Err(_gone) => return client.finish().await,
    };
    tracing::debug!(path = %end.path(), "joined");
    // Whatever was sent before PAIRED was read and judged; half a frame of it could not be.
    let early = !agent.frames.is_between_frames() || !client.frames.is_between_frames();
    let paired = Frame::Paired(Paired { path: end.path() });
    let told = client.write(&paired).and(agent.write(&paired));
    if told.is_some() {
        control
            .timings
            .set_up(purpose, &set_up, consented.elapsed());
    }
    let mut path = Path::new(control, purpose, agent, client);
    let next = if early {
        Next::End(End::Breach(Code::BadFrame))
    } else if told.is_none() {
        Next::End(End::Broken)
    } else {
        poll_fn(|cx| path.poll(cx, control, &mut inbox)).await
    };
    let why = match next {
        Next::Direct => return direct::hand_over(control, worker, path, end),
        Next::End(why) => why,
    };
    tracing::debug!(path = %end.path(), ?why, "ended");
    if why != End::Done {
        // The agent's CLOSE may still be on its way through either of them.
        tokio::join!(path.agent.finish(), path.client.finish());
    }
    end.so_far = PathEnd {
        traffic: path.traffic(),
        kind: path.kind,
        cause: match why {
            End::Done | End::Ordered | End::Broken => Cause::Leg,
            End::Breach(code) => Cause::Breach(code),
        },
    };
    end.ending = why.into();
}

struct Path {
    agent: Half,
    client: Half,
    purpose: Purpose,
    kind: PathKind,
    /// One more live path of this kind.
    live: Counted,
}

impl Path {
    fn new(control: &Control, purpose: Purpose, agent: Leg, client: Leg) -> Self {
        let kind = PathKind::Wrapped;
        Self {
            agent: Half::new(agent),
            client: Half::new(client),
            purpose,
            kind,
            live: Counted::new(&control.counters, Counters::live(kind, purpose)),
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        control: &Control,
        inbox: &mut Inbox<Order>,
    ) -> Poll<Next> {
        // Nothing but Close is given to a path; the mailbox is gone where the node ends.
        if inbox.poll_take(cx).is_ready() {
            return Poll::Ready(Next::End(End::Ordered));
        }
        for _ in 0..limits::PATH_TURNS {
            let before = self.traffic();
            let moved = self.turn(cx);
            let after = self.traffic();
            control.counters.carried(Traffic {
                to_client: after.to_client - before.to_client,
                to_agent: after.to_agent - before.to_agent,
            });
            self.see_kind(control);
            match moved {
                Err(end) => return Poll::Ready(Next::End(end)),
                Ok(_) if self.agent.is_shut() && self.client.is_shut() => {
                    return Poll::Ready(Next::End(End::Done));
                }
                // What was read and waits for the other leg is moved on first.
                Ok(_) if self.kind == PathKind::Direct && !self.holds() => {
                    return Poll::Ready(Next::Direct);
                }
                Ok(true) => {}
                Ok(false) => {
                    self.agent.release();
                    self.client.release();
                    return Poll::Pending;
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn holds(&self) -> bool {
        self.agent.holds() || self.client.holds()
    }

    /// Moves what can be moved each way; whether anything was.
    fn turn(&mut self, cx: &mut Context<'_>) -> Result<bool, End> {
        let Self { agent, client, .. } = self;
        let down = direction::shift(cx, agent, client)?;
        let up = direction::shift(cx, client, agent)?;
        Ok(down || up)
    }

    fn traffic(&self) -> Traffic {
        Traffic {
            to_client: self.agent.inlet.carried,
            to_agent: self.client.inlet.carried,
        }
    }

    fn see_kind(&mut self, control: &Control) {
        let kind = match (self.agent.is_direct(), self.client.is_direct()) {
            (true, true) => PathKind::Direct,
            (false, false) => PathKind::Wrapped,
            (true, false) | (false, true) => PathKind::Mixed,
        };
        if kind != self.kind {
            self.kind = kind;
            self.live = Counted::new(&control.counters, Counters::live(kind, self.purpose));
        }
    }
}
