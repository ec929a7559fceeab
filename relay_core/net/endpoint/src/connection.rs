//! One leg of an endpoint: dialled, then driven by the outer machine until it is gone or has become a path (PROTOCOL.md §5).
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use telerelay_leg::dial::Dialer;
use telerelay_leg::tls::{Progress, Tls, TlsError};
use telerelay_outer::{Hop, How, LegKey};
use telerelay_wire::Code;
use telerelay_wire::frame::FrameError;
use telerelay_wire::outer::{Frame, Reader};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

/// Orders that wait for a leg. The machine sends a handful at once: HELLO and CONNECT, or all reports that waited for a ready connection
/// (64, PROTOCOL.md §12); one that does not read them any more is closed.
const ORDERS: usize = 128;
/// How much is read from the socket at once: a handful of control frames, or the beginning of an inner handshake.
const READ: usize = 4 * 1024;

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
    fn leg_up(self: &Arc<Self>, leg: LegKey);
    fn frame(self: &Arc<Self>, leg: LegKey, frame: Frame<'_>);
    fn frame_error(self: &Arc<Self>, leg: LegKey, error: FrameError);
    fn leg_gone(self: &Arc<Self>, leg: LegKey, code: Code);
    /// The leg's task has ended, whatever the reason.
    fn leg_over(self: &Arc<Self>, leg: LegKey);
    /// Runs the path to its end. The owner tells its machine.
    fn path(self: &Arc<Self>, leg: Leg, start: Self::Start) -> impl Future<Output = ()> + Send;
}

/// The legs of one owner, as their orders reach them.
pub(crate) struct Legs<S>(BTreeMap<LegKey, mpsc::Sender<Order<S>>>);

impl<S> Default for Legs<S> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<S: Send + 'static> Legs<S> {
    /// Dials one address and runs the leg to its end.
    pub(crate) fn dial<O: Owner<Start = S>>(&mut self, owner: &Arc<O>, key: LegKey, hop: Hop) {
        let (orders, received) = mpsc::channel(ORDERS);
        self.0.insert(key, orders);
        let owner = owner.clone();
        owner.clone().runtime().spawn(async move {
            run(&owner, key, hop, received).await;
            owner.leg_over(key);
        });
    }

    /// Gives an order. A leg that does not take its orders is as good as gone: dropping their channel closes it.
    pub(crate) fn order(&mut self, key: LegKey, order: Order<S>) {
        if let Some(orders) = self.0.get(&key)
            && orders.try_send(order).is_err()
        {
            self.0.remove(&key);
        }
    }

    pub(crate) fn remove(&mut self, key: LegKey) {
        self.0.remove(&key);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
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
}

impl Gone {
    fn code(&self) -> Code {
        match self {
            Self::Socket(_) => Code::Unreachable,
            Self::Tls(error) => error.code(),
            Self::Frame(_) => Code::Internal,
        }
    }
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
    owner.leg_up(key);
    match leg.control(owner, key, &mut orders).await {
        Ok(Some(start)) => owner.path(leg, start).await,
        Ok(None) => {}
        Err(error) => {
            tracing::debug!(node = %hop.node, %error, "the leg is gone");
            owner.leg_gone(key, error.code());
        }
    }
}

impl Leg {
    /// Carries frames between socket and machine. Ends with what a path needs, with `None` where the machine closed the leg, or
    /// with the error that ended it.
    async fn control<O: Owner>(
        &mut self,
        owner: &Arc<O>,
        key: LegKey,
        orders: &mut mpsc::Receiver<Order<O::Start>>,
    ) -> Result<Option<O::Start>, Gone> {
        let mut encoded = Vec::new();
        // Behind PAIRED stand the first bytes of the path: they are not for the machine. Its answer says what they are for.
        let mut paired = false;
        let mut closing = false;
        loop {
            self.write()?;
            if closing && self.tls.outgoing().is_empty() {
                return Ok(None);
            }
            let interest = match (paired || closing, self.tls.outgoing().is_empty()) {
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
                order = orders.recv(), if !closing => match order {
                    Some(Order::Send(frame)) => {
                        encoded.clear();
                        frame.encode(&mut encoded)?;
                        self.tls.write(&encoded)?;
                    }
                    Some(Order::Start(start)) => return Ok(Some(start)),
                    Some(Order::Close(How::Flushed)) => {
                        self.tls.close_notify();
                        closing = true;
                    }
                    Some(Order::Close(How::AtOnce)) | None => return Ok(None),
                },
                ready = ready => {
                    if ready?.is_readable() && !paired && !closing {
                        paired = self.read(owner, key)?;
                    }
                }
            }
        }
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
        match self.socket.try_read_buf(self.tls.read_buffer(READ)) {
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
