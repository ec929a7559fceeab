//! One leg of an endpoint: dialled, then driven by the outer machine until it is gone or has become a path (PROTOCOL.md §5).
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use telerelay_leg::accept::linger;
use telerelay_leg::dial::Dialer;
use telerelay_leg::tls::{Progress, Tls, TlsError};
use telerelay_outer::{Hop, How, LegKey};
use telerelay_wire::Code;
use telerelay_wire::frame::FrameError;
use telerelay_wire::limits;
use telerelay_wire::outer::{Frame, Reader};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::task::coop::consume_budget;
use tokio::time::timeout;

/// What the machine wants of a leg.
pub(crate) enum Order<S> {
    Send(Frame<'static>),
    Close(How),
    /// The leg is a path from here on.
    Start(S),
}

/// Who owns legs: an outer machine behind a lock, and what its legs need.
pub(crate) trait Owner: Send + Sync + Sized + 'static {
    /// What a path needs to begin.
    type Start: Send + 'static;
    fn dialer(&self) -> &Dialer;
    fn runtime(&self) -> &Handle;
    /// `local`: the address that the leg was dialled from.
    fn leg_up(self: &Arc<Self>, leg: LegKey, local: IpAddr);
    fn frame(self: &Arc<Self>, leg: LegKey, frame: Frame<'_>);
    fn frame_error(self: &Arc<Self>, leg: LegKey, error: FrameError);
    fn leg_gone(self: &Arc<Self>, leg: LegKey, code: Code);
    /// The leg's task has ended, whatever the reason: its path has ended with it, if it had one that nobody told the end of.
    fn leg_over(self: &Arc<Self>, leg: LegKey);
    /// Runs the path to its end. The owner tells its machine.
    fn path(
        self: &Arc<Self>,
        key: LegKey,
        leg: Leg,
        start: Self::Start,
    ) -> impl Future<Output = ()> + Send;
}

/// The legs of one owner, from their dial until their task has ended.
pub(crate) struct Legs<S>(BTreeMap<LegKey, Task<S>>);

struct Task<S> {
    /// `None` for a leg that did not take its orders.
    orders: Option<mpsc::Sender<Order<S>>>,
    abort: AbortHandle,
}

impl<S> Default for Legs<S> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<S: Send + 'static> Legs<S> {
    /// Dials one address and runs the leg to its end.
    pub(crate) fn dial<O: Owner<Start = S>>(&mut self, owner: &Arc<O>, key: LegKey, hop: Hop) {
        let (orders, received) = mpsc::channel(limits::ENDPOINT_ORDERS);
        let owner = owner.clone();
        let task = owner.clone().runtime().spawn(async move {
            let over = Over { owner, key };
            run(&over.owner, key, hop, received).await;
        });
        let task = Task {
            orders: Some(orders),
            abort: task.abort_handle(),
        };
        self.0.insert(key, task);
    }

    /// Gives an order. A leg that does not take its orders is as good as gone: dropping their channel ends it.
    pub(crate) fn order(&mut self, key: LegKey, order: Order<S>) {
        if let Some(task) = self.0.get_mut(&key)
            && let Some(orders) = &task.orders
            && orders.try_send(order).is_err()
        {
            task.orders = None;
        }
    }

    pub(crate) fn remove(&mut self, key: LegKey) {
        self.0.remove(&key);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Ends the tasks where they stand.
    pub(crate) fn abort(&self) {
        self.0.values().for_each(|task| task.abort.abort());
    }
}

/// Tells the owner that a leg's task has ended, however it ended.
struct Over<O: Owner> {
    owner: Arc<O>,
    key: LegKey,
}

impl<O: Owner> Drop for Over<O> {
    fn drop(&mut self) {
        let (owner, key) = (self.owner.clone(), self.key);
        if !std::thread::panicking() {
            return owner.leg_over(key);
        }
        tracing::error!(code = "INTERNAL", "a leg panicked");
        // On a task of its own: a second panic here would end the process.
        owner.clone().runtime().spawn(async move {
            owner.leg_gone(key, Code::Internal);
            owner.leg_over(key);
        });
    }
}

/// Why a leg is gone.
#[derive(Debug, thiserror::Error)]
enum Gone {
    #[error("{0}")]
    Socket(#[from] io::Error),
    #[error("{0}")]
    Tls(#[from] TlsError),
    /// A frame of this version's own does not fit its type: a bug.
    #[error("{0}")]
    Frame(#[from] FrameError),
    /// More had to be answered than an honest node asks.
    #[error("the node asks too much at once")]
    Overrun,
}

impl Gone {
    fn code(&self) -> Code {
        match self {
            Self::Socket(_) => Code::Unreachable,
            Self::Tls(error) => error.code(),
            Self::Frame(_) => Code::Internal,
            Self::Overrun => Code::BadFrame,
        }
    }
}

/// What becomes of a leg.
enum Next<S> {
    Path(S),
    Closed(How),
}

/// An authenticated leg.
pub(crate) struct Leg {
    pub(crate) socket: TcpStream,
    pub(crate) tls: Tls,
    pub(crate) frames: Reader,
}

async fn run<O: Owner>(
    owner: &Arc<O>,
    key: LegKey,
    hop: Hop,
    mut orders: mpsc::Receiver<Order<O::Start>>,
) {
    let dialled = tokio::select! {
        dialled = owner.dialer().connect(&hop.node, &hop.address) => dialled,
        // Whatever the order is: before there is a leg, only Close is given.
        _ = orders.recv() => return,
    };
    let mut leg = match dialled {
        Ok((socket, tls)) => Leg {
            socket,
            tls,
            frames: Reader::new(),
        },
        Err(error) => {
            tracing::debug!(node = %hop.node, %error, "the dial failed");
            return owner.leg_gone(key, error.code());
        }
    };
    match leg.socket.local_addr() {
        Ok(local) => owner.leg_up(key, local.ip()),
        Err(error) => {
            tracing::debug!(node = %hop.node, %error, "the leg broke at once");
            return owner.leg_gone(key, Code::Unreachable);
        }
    }
    match leg.control(owner, key, &mut orders).await {
        Ok(Next::Path(start)) => owner.path(key, leg, start).await,
        Ok(Next::Closed(How::Flushed)) => leg.leave().await,
        Ok(Next::Closed(How::AtOnce)) => {}
        Err(error) => {
            tracing::debug!(node = %hop.node, %error, "the leg is gone");
            owner.leg_gone(key, error.code());
            // An alert may be left to be sent.
            leg.leave().await;
        }
    }
}

impl Leg {
    /// Carries frames between socket and machine. Ends with what becomes of the leg, or with the error that ended it.
    async fn control<O: Owner>(
        &mut self,
        owner: &Arc<O>,
        key: LegKey,
        orders: &mut mpsc::Receiver<Order<O::Start>>,
    ) -> Result<Next<O::Start>, Gone> {
        let mut encoded = Vec::new();
        // Behind PAIRED stand the first bytes of the path: they are not for the machine. Its answer says what they are for.
        let mut paired = false;
        loop {
            self.write()?;
            let waiting = self.tls.outgoing().len();
            let interest = match (paired || waiting >= limits::LEG_UNSENT, waiting == 0) {
                (false, true) => Some(Interest::READABLE),
                (false, false) => Some(Interest::READABLE | Interest::WRITABLE),
                (true, false) => Some(Interest::WRITABLE),
                (true, true) => None,
            };
            let ready = async {
                match interest {
                    Some(interest) => self.socket.ready(interest).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                order = orders.recv() => match order {
                    Some(Order::Send(frame)) => {
                        encoded.clear();
                        frame.encode(&mut encoded)?;
                        self.tls.write(&encoded)?;
                    }
                    Some(Order::Start(start)) => return Ok(Next::Path(start)),
                    Some(Order::Close(how)) => return Ok(Next::Closed(how)),
                    None => return Err(Gone::Overrun),
                },
                ready = ready => {
                    if ready?.is_readable() && !paired && waiting < limits::LEG_UNSENT {
                        paired = self.read(owner, key)?;
                    }
                }
            }
            // A node that never stops sending must not starve the other tasks of this thread.
            consume_budget().await;
        }
    }

    /// Sends what is left so that the node reads it: closed with bytes unread, a socket is reset, and the last frame lost with it.
    async fn leave(mut self) {
        self.tls.close_notify();
        // A node that takes no more bytes gets none.
        let _in_time = timeout(limits::LINGER, async {
            while self.write().is_ok() && !self.tls.outgoing().is_empty() {
                if self.socket.writable().await.is_err() {
                    return;
                }
            }
            linger(&mut self.socket, limits::LINGER).await;
        })
        .await;
    }

    fn write(&mut self) -> io::Result<()> {
        while !self.tls.outgoing().is_empty() {
            match self.socket.try_write(self.tls.outgoing()) {
                Ok(length) => self.tls.sent(length),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads once and gives the machine every whole frame. True behind PAIRED.
    fn read<O: Owner>(&mut self, owner: &Arc<O>, key: LegKey) -> Result<bool, Gone> {
        match self
            .socket
            .try_read_buf(self.tls.read_buffer(limits::ENDPOINT_READ))
        {
            Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        let Self { tls, frames, .. } = self;
        loop {
            // One record, then its frames: what stands behind PAIRED stays where it is.
            let progress = tls.read_record(|plaintext| frames.push(plaintext))?;
            loop {
                match frames.next() {
                    Ok(Some(frame)) => {
                        let paired = matches!(frame, Frame::Paired(_));
                        owner.frame(key, frame);
                        if paired {
                            return Ok(true);
                        }
                    }
                    Ok(None) => break,
                    Err(error) => {
                        owner.frame_error(key, error);
                        // The machine sends ERROR and closes; nothing that follows can be read.
                        return Ok(true);
                    }
                }
            }
            match progress {
                Progress::Record => {}
                Progress::Starved => {
                    tls.release();
                    return Ok(false);
                }
                Progress::Closed => {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
                }
            }
        }
    }
}
