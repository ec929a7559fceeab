//! An authenticated leg at the node: socket, outer TLS and the reader of its frames, moved by polling.
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use telerelay_leg::accept::linger;
use telerelay_leg::tls::Tls;
use telerelay_wire::limits;
use telerelay_wire::outer::{Frame, Reader};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::counters::Counted;

/// A leg. Its socket belongs to the runtime of the task that has it.
pub(crate) struct Leg {
    pub(crate) socket: TcpStream,
    pub(crate) tls: Tls,
    pub(crate) frames: Reader,
    pub(crate) counted: Counted,
}

impl Leg {
    /// Reads once into the buffer of TLS, with room for at least `room` bytes. 0 is the end.
    pub(crate) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        room: usize,
    ) -> Poll<io::Result<usize>> {
        pin!(self.socket.read_buf(self.tls.read_buffer(room))).poll(cx)
    }

    /// Sends what is outgoing. Ready when nothing is left.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.tls.outgoing().is_empty() {
            match ready!(Pin::new(&mut self.socket).poll_write(cx, self.tls.outgoing()))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                length => self.tls.sent(length),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Writes a frame into TLS; `None` where that is not possible any more.
    pub(crate) fn write(&mut self, frame: &Frame<'_>) -> Option<()> {
        write(&mut self.tls, frame)
    }

    /// Ends the leg so that the other end reads everything: what is queued, `close_notify`, FIN.
    pub(crate) async fn finish(mut self) {
        self.tls.close_notify();
        part(&mut self.socket, self.tls.outgoing()).await;
    }

    /// Takes the leg to another task. Between two workers its socket changes the runtime.
    pub(crate) fn lend(self, to_same_worker: bool) -> io::Result<Lent> {
        let socket = if to_same_worker {
            Socket::Here(self.socket)
        } else {
            Socket::Moved(self.socket.into_std()?)
        };
        Ok(Lent {
            socket,
            tls: self.tls,
            frames: self.frames,
            counted: self.counted,
        })
    }
}

/// Writes a frame into a leg's TLS; `None` where that is not possible any more.
pub(crate) fn write(tls: &mut Tls, frame: &Frame<'_>) -> Option<()> {
    let mut encoded = Vec::new();
    if let Err(error) = frame.encode(&mut encoded) {
        tracing::error!(%error, "a frame of our own does not fit");
        return None;
    }
    tls.write(&encoded).ok()
}

/// Sends what is queued and FIN, and no reset because the other end still speaks.
pub(crate) async fn part(socket: &mut TcpStream, queued: &[u8]) {
    // Late or broken: there is nobody left to be kind to.
    if let Ok(Ok(())) = timeout(limits::LINGER, socket.write_all(queued)).await {
        linger(socket, limits::LINGER).await;
    }
}

/// A leg on its way from one task to another.
pub(crate) struct Lent {
    socket: Socket,
    tls: Tls,
    frames: Reader,
    counted: Counted,
}

enum Socket {
    Here(TcpStream),
    Moved(std::net::TcpStream),
}

impl Lent {
    /// The leg at the task that takes it.
    pub(crate) fn take(self) -> io::Result<Leg> {
        let socket = match self.socket {
            Socket::Here(socket) => socket,
            Socket::Moved(socket) => TcpStream::from_std(socket)?,
        };
        Ok(Leg {
            socket,
            tls: self.tls,
            frames: self.frames,
            counted: self.counted,
        })
    }
}
