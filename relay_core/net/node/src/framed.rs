//! A leg while it speaks frames: until it is closed, gone, or part of a path (PROTOCOL.md §5.2).
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use telerelay_leg::tls::Progress;
use telerelay_outer::How;
use telerelay_wire::limits;

use crate::control::{Control, LegGuard, Lend, Order, PathOrder};
use crate::leg::Leg;
use crate::mailbox::Inbox;
use crate::path;

/// What becomes of a leg.
enum Next {
    /// The other end left, or nothing can be read or written any more.
    Gone,
    /// The machine closed it.
    Closed(How),
    /// It belongs to the path of another task.
    Lend(Lend),
    /// It becomes a path here.
    Path(Box<PathOrder>),
}

/// Runs a leg to its end. `worker` is the one that runs this.
pub(crate) async fn run(
    control: Arc<Control>,
    mut leg: Leg,
    guard: LegGuard,
    mut inbox: Inbox<Order>,
    worker: usize,
) {
    let next = poll_fn(|cx| leg.poll_framed(cx, &control, &guard, &mut inbox)).await;
    match next {
        Next::Gone => {
            drop(guard);
            // An alert may be left to be sent.
            Box::pin(leg.finish()).await;
        }
        Next::Closed(How::Flushed) => Box::pin(leg.finish()).await,
        Next::Closed(How::AtOnce) => {}
        Next::Lend(lend) => {
            guard.release();
            match leg.lend(lend.worker == worker) {
                // The path may have ended before it began; then the leg ends here.
                Ok(lent) => drop(lend.to.send(lent)),
                Err(error) => tracing::warn!(%error, "a leg could not be moved"),
            }
        }
        Next::Path(order) => {
            guard.release();
            Box::pin(path::run(&control, leg, *order, inbox, worker)).await;
        }
    }
}

impl Leg {
    /// Carries frames between socket and machine. In this order: what the machine wants, what the socket takes, one frame; so that
    /// the answer to a frame is known before the next one is read.
    fn poll_framed(
        &mut self,
        cx: &mut Context<'_>,
        control: &Arc<Control>,
        guard: &LegGuard,
        inbox: &mut Inbox<Order>,
    ) -> Poll<Next> {
        loop {
            while self.tls.outgoing().len() < limits::LEG_UNSENT {
                match inbox.poll_take(cx) {
                    Poll::Ready(Some(Order::Send(frame))) if self.write(&frame).is_none() => {
                        return Poll::Ready(Next::Gone);
                    }
                    Poll::Ready(Some(Order::Send(_))) => {}
                    Poll::Ready(Some(Order::Close(how))) => return Poll::Ready(Next::Closed(how)),
                    Poll::Ready(Some(Order::Lend(lend))) => return Poll::Ready(Next::Lend(lend)),
                    Poll::Ready(Some(Order::Path(order))) => return Poll::Ready(Next::Path(order)),
                    Poll::Ready(None) => return Poll::Ready(Next::Closed(How::AtOnce)),
                    Poll::Pending => break,
                }
            }
            match self.poll_flush(cx) {
                Poll::Ready(Err(_)) => return Poll::Ready(Next::Gone),
                // Whoever does not read is not read.
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) => {}
            }
            match self.frames.next() {
                Ok(Some(frame)) => {
                    control.frame(guard.key, frame);
                    continue;
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(%error, "a leg breaks the protocol");
                    control.frame_error(guard.key, error);
                    continue;
                }
            }
            let frames = &mut self.frames;
            match self.tls.read_record(|plaintext| frames.push(plaintext)) {
                Ok(Progress::Record) => {}
                Ok(Progress::Starved) => match self.poll_fill(cx, limits::NODE_READ) {
                    Poll::Ready(Ok(length)) if length > 0 => {}
                    Poll::Ready(_) => return Poll::Ready(Next::Gone),
                    Poll::Pending => {
                        self.tls.release();
                        return Poll::Pending;
                    }
                },
                Ok(Progress::Closed) | Err(_) => return Poll::Ready(Next::Gone),
            }
        }
    }
}
