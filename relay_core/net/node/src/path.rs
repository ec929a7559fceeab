//! Two legs that are a path: the records of one, decrypted, are the records of the other (PROTOCOL.md §6, the wrapped rows).
use std::future::poll_fn;
use std::io;
use std::net::Shutdown;
use std::task::{Context, Poll};

use socket2::SockRef;
use telerelay_leg::tls::Progress;
use telerelay_outer::node::{Cause, PathEnd};
use telerelay_outer::switch::{Action, Arrival, Receiving, Sending, arrive};
use telerelay_outer::{PathKind, Traffic};
use telerelay_wire::Code;
use telerelay_wire::limits;
use telerelay_wire::outer::{Frame, Paired, Reader, path_view};

use crate::control::{Control, Order, PathOrder};
use crate::counters::{Counted, Counters};
use crate::leg::{Leg, Lent};
use crate::mailbox::Inbox;

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

/// Runs a path to its end and tells the machine. `client` is the leg whose task this is.
pub(crate) async fn run(
    control: &Control,
    mut client: Leg,
    order: PathOrder,
    mut inbox: Inbox<Order>,
) {
    let PathOrder {
        agent,
        end,
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
        control.timings.set_up(&set_up, consented.elapsed());
    }
    let kind = PathKind::Wrapped;
    let _live = Counted::new(&control.counters, Counters::live(kind));
    let mut path = Path {
        agent: Half::new(agent),
        client: Half::new(client),
        traffic: Traffic::default(),
    };
    let why = if early {
        End::Breach(Code::BadFrame)
    } else if told.is_none() {
        End::Broken
    } else {
        poll_fn(|cx| path.poll(cx, control, &mut inbox)).await
    };
    tracing::debug!(path = %end.path(), ?why, "ended");
    let cause = match why {
        End::Done | End::Ordered | End::Broken => Cause::Leg,
        End::Breach(code) => Cause::Breach(code),
    };
    if why != End::Done {
        // The agent's CLOSE may still be on its way through either of them.
        tokio::join!(path.agent.leg.finish(), path.client.leg.finish());
    }
    end.end(PathEnd {
        traffic: path.traffic,
        kind,
        cause,
    });
}

struct Path {
    agent: Half,
    client: Half,
    traffic: Traffic,
}

/// One leg, and how far its two directions have come.
struct Half {
    leg: Leg,
    receiving: Receiving,
    sending: Sending,
    /// FIN was sent.
    shut: bool,
}

impl Half {
    fn new(leg: Leg) -> Self {
        Self {
            leg,
            receiving: Receiving::Wrapped,
            sending: Sending::Wrapped,
            shut: false,
        }
    }
}

impl Path {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        control: &Control,
        inbox: &mut Inbox<Order>,
    ) -> Poll<End> {
        // Nothing but Close is given to a path; the mailbox is gone where the node ends.
        if inbox.poll_take(cx).is_ready() {
            return Poll::Ready(End::Ordered);
        }
        for _ in 0..limits::PATH_TURNS {
            let before = self.traffic;
            let moved = self.turn(cx);
            control.counters.carried(Traffic {
                to_client: self.traffic.to_client - before.to_client,
                to_agent: self.traffic.to_agent - before.to_agent,
            });
            match moved {
                Err(end) => return Poll::Ready(end),
                Ok(_) if self.agent.shut && self.client.shut => return Poll::Ready(End::Done),
                Ok(true) => {}
                Ok(false) => {
                    self.agent.leg.tls.release();
                    self.client.leg.tls.release();
                    return Poll::Pending;
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Moves what can be moved each way; whether anything was.
    fn turn(&mut self, cx: &mut Context<'_>) -> Result<bool, End> {
        let Self {
            agent,
            client,
            traffic,
        } = self;
        let down = shift(cx, agent, client, &mut traffic.to_client)?;
        let up = shift(cx, client, agent, &mut traffic.to_agent)?;
        Ok(down || up)
    }
}

/// Moves one direction on, as far as `dst` takes it: nothing is read from `src` that `dst` has no room for.
fn shift(
    cx: &mut Context<'_>,
    src: &mut Half,
    dst: &mut Half,
    carried: &mut u64,
) -> Result<bool, End> {
    let mut moved = false;
    let mut filled = false;
    while src.receiving == Receiving::Wrapped && dst.leg.tls.outgoing().len() < limits::LEG_UNSENT {
        match take_record(src, dst, carried)? {
            Progress::Record | Progress::Closed => moved = true,
            // One read of the socket in each turn, so that the other direction and other connections get theirs.
            Progress::Starved if filled => break,
            Progress::Starved => match src.leg.poll_fill(cx, limits::PATH_READ) {
                Poll::Pending => break,
                Poll::Ready(Err(_)) => return Err(End::Broken),
                Poll::Ready(Ok(0)) => {
                    moved = true;
                    arrived(&mut src.receiving, dst, Arrival::End, &[])?;
                }
                Poll::Ready(Ok(_)) => {
                    moved = true;
                    filled = true;
                }
            },
        }
    }
    let before = dst.leg.tls.outgoing().len();
    let flushed = dst.leg.poll_flush(cx);
    // Room that has become free is a reason to look at `src` again, which was perhaps not asked.
    moved |= dst.leg.tls.outgoing().len() < before;
    match flushed {
        Poll::Ready(Err(_)) => Err(End::Broken),
        Poll::Ready(Ok(())) if dst.sending == Sending::Ended && !dst.shut => {
            dst.shut = true;
            shut(dst).map_err(|_| End::Broken)?;
            Ok(true)
        }
        Poll::Ready(Ok(())) | Poll::Pending => Ok(moved),
    }
}

/// Takes one record of `src`, if there is a whole one, and does with it what §6 says.
fn take_record(src: &mut Half, dst: &mut Half, carried: &mut u64) -> Result<Progress, End> {
    let mut done = Ok(());
    let progress = src.leg.tls.read_record(|record| {
        done = match path_view(record) {
            Some(bytes) => {
                *carried += bytes.len() as u64;
                arrived(&mut src.receiving, dst, Arrival::Path, record)
            }
            None => no_path(record)
                .and_then(|arrival| arrived(&mut src.receiving, dst, arrival, record)),
        };
    });
    done?;
    match progress {
        Ok(Progress::Closed) => {
            arrived(&mut src.receiving, dst, Arrival::End, &[])?;
            Ok(Progress::Closed)
        }
        Ok(progress) => Ok(progress),
        Err(error) => {
            tracing::debug!(%error, "outer TLS of a path broke");
            Err(End::Broken)
        }
    }
}

/// A record that is not one PATH frame: nothing, SWITCH, or a breach of §4.
fn no_path(record: &[u8]) -> Result<Arrival, End> {
    if record.is_empty() {
        return Ok(Arrival::Empty);
    }
    let mut reader = Reader::new();
    reader.push(record);
    let is_switch = matches!(reader.next(), Ok(Some(Frame::Switch(_))));
    if is_switch && reader.is_between_frames() {
        Ok(Arrival::Switch)
    } else {
        Err(End::Breach(Code::BadFrame))
    }
}

/// One row of the table of §6, of those that concern legs in outer TLS.
fn arrived(
    receiving: &mut Receiving,
    dst: &mut Half,
    arrival: Arrival,
    record: &[u8],
) -> Result<(), End> {
    let step = arrive(*receiving, dst.sending, arrival);
    *receiving = step.src;
    dst.sending = step.dst;
    match step.action {
        Action::Nothing => Ok(()),
        // A record with PATH is a frame already: it goes into the other leg's TLS as it stands.
        Action::Frame => dst.leg.tls.write(record).map_err(|_| End::Broken),
        Action::CloseNotify => {
            dst.leg.tls.close_notify();
            Ok(())
        }
        // WELCOME does not list `direct`, so no leg may put its outer TLS down (§5.2).
        Action::Answer => Err(End::Breach(Code::Unsupported)),
        Action::CloseBoth | Action::Append | Action::Move | Action::Hold | Action::Shutdown => {
            Err(End::Broken)
        }
    }
}

/// Sends FIN: everything for this leg was sent.
fn shut(half: &Half) -> io::Result<()> {
    SockRef::from(&half.leg.socket).shutdown(Shutdown::Write)
}
