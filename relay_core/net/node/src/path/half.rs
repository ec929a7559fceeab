//! One leg of a path: what is read from it, what is written to it, and how far it has put its outer TLS down.
use std::io;
use std::net::Shutdown;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use telerelay_engine as engine;
use telerelay_leg::tls::{OffsetBuffer, Tls};
use telerelay_outer::switch::{self, Arrival, Receiving, Sending};
use telerelay_wire::Code;
use telerelay_wire::limits;
use telerelay_wire::outer::{Frame, PATH_MAXIMUM, Switch, path_header};
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;

use super::End;
use crate::counters::Counted;
use crate::leg::{self, Leg};

/// A leg, and how far its two directions have come.
pub(super) struct Half {
    socket: TcpStream,
    counted: Counted,
    /// Outer TLS, until the answer to SWITCH is taken out of it: what is gone cannot be asked for output again (§6, freeze).
    pub(super) tls: Option<Tls>,
    pub(super) inlet: Inlet,
    /// Raw bytes that were read and not moved on.
    pub(super) incoming: Vec<u8>,
    pub(super) sending: Sending,
    /// The answer to SWITCH, and raw bytes behind it.
    outgoing: OffsetBuffer,
    /// FIN was sent.
    shut: bool,
}

/// What comes by a leg.
pub(super) struct Inlet {
    pub(super) receiving: Receiving,
    /// What came and waits until the other leg's SWITCH is answered.
    pub(super) held: Option<(Arrival, Vec<u8>)>,
    /// Bytes of inner TLS that were moved on.
    pub(super) carried: u64,
}

impl Half {
    pub(super) fn new(leg: Leg) -> Self {
        Self {
            socket: leg.socket,
            counted: leg.counted,
            tls: Some(leg.tls),
            inlet: Inlet {
                receiving: Receiving::Wrapped,
                held: None,
                carried: 0,
            },
            incoming: Vec::new(),
            sending: Sending::Wrapped,
            outgoing: OffsetBuffer::default(),
            shut: false,
        }
    }

    /// Reads once from the socket. 0 is the end.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let wrapped = self.inlet.receiving == Receiving::Wrapped;
        let buffer = if let Some(tls) = self.tls.as_mut().filter(|_| wrapped) {
            tls.read_buffer(limits::PATH_READ)
        } else {
            self.incoming.reserve(limits::PATH_READ);
            &mut self.incoming
        };
        pin!(self.socket.read_buf(buffer)).poll(cx)
    }

    /// Bytes that wait for the socket.
    pub(super) fn unsent(&self) -> usize {
        queue(self.tls.as_ref(), &self.outgoing).len()
    }

    /// Queues a record that is a PATH frame already.
    pub(super) fn write_record(&mut self, record: &[u8]) -> Result<(), End> {
        let tls = self.tls.as_mut().ok_or(End::Broken)?;
        tls.write(record).map_err(|_| End::Broken)
    }

    /// Queues bytes as PATH frames, each in a record of its own.
    pub(super) fn write_framed(&mut self, bytes: &[u8]) -> Result<(), End> {
        for part in bytes.chunks(PATH_MAXIMUM.into()) {
            let length = u16::try_from(part.len()).unwrap_or(PATH_MAXIMUM);
            self.write_record(&[&path_header(length), part].concat())?;
        }
        Ok(())
    }

    /// Queues bytes as they are.
    pub(super) fn append(&mut self, bytes: &[u8]) {
        self.outgoing.spare(bytes.len()).extend_from_slice(bytes);
    }

    /// Says in outer TLS that nothing follows.
    pub(super) fn close_notify(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.close_notify();
        }
    }

    /// SWITCH came: what stands behind its record is raw.
    pub(super) fn switched(&mut self) -> Result<(), End> {
        let left_over = self.tls.as_mut().and_then(Tls::take_left_over);
        self.incoming = left_over.ok_or(End::Breach(Code::BadFrame))?;
        self.sending = switch::answer(self.sending);
        Ok(())
    }

    /// Sends what is queued, and answers SWITCH once everything before it has left. Ready when nothing is left.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        loop {
            while self.unsent() > 0 {
                let queued = queue(self.tls.as_ref(), &self.outgoing);
                match ready!(Pin::new(&mut self.socket).poll_write(cx, queued)) {
                    Ok(length) if length > 0 => self.sent(length),
                    Ok(_) | Err(_) => return Poll::Ready(Err(End::Broken)),
                }
            }
            let (next, answers) = switch::flushed(self.sending);
            if next == self.sending {
                return Poll::Ready(Ok(()));
            }
            self.sending = next;
            if answers {
                self.answer()?;
            }
        }
    }

    fn sent(&mut self, length: usize) {
        match &mut self.tls {
            Some(tls) => tls.sent(length),
            None => self.outgoing.consume(length),
        }
    }

    /// Writes SWITCH as the last plaintext, and takes with it everything that the TLS library still has to say.
    fn answer(&mut self) -> Result<(), End> {
        let mut tls = self.tls.take().ok_or(End::Broken)?;
        leg::write(&mut tls, &Frame::Switch(Switch {})).ok_or(End::Broken)?;
        self.append(tls.outgoing());
        Ok(())
    }

    /// Sends FIN, if it is time for that: whether it was.
    pub(super) fn shut(&mut self) -> Result<bool, End> {
        if self.sending != Sending::Ended || self.shut {
            return Ok(false);
        }
        let shut = SockRef::from(&self.socket).shutdown(Shutdown::Write);
        shut.map_err(|_| End::Broken)?;
        self.shut = true;
        Ok(true)
    }

    pub(super) fn is_shut(&self) -> bool {
        self.shut
    }

    /// Nothing of this leg is in outer TLS any more.
    pub(super) fn is_direct(&self) -> bool {
        self.tls.is_none()
    }

    /// Something that came by this leg waits for the other one.
    pub(super) fn holds(&self) -> bool {
        !self.incoming.is_empty() || self.inlet.held.is_some()
    }

    /// Gives the memory of empty buffers back.
    pub(super) fn release(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.release();
        }
        self.outgoing.release();
        if self.incoming.is_empty() {
            self.incoming = Vec::new();
        }
    }

    /// The leg for the engine, once nothing of it is in outer TLS or waits here, and that it is one more connection.
    pub(super) fn into_direct(mut self) -> io::Result<(engine::Leg, Counted)> {
        debug_assert!(!self.holds(), "it would be lost");
        let leg = engine::Leg {
            socket: self.socket.into_std()?.into(),
            outgoing: self.outgoing.take(),
            read_ended: self.inlet.receiving == Receiving::Ended,
            write_ended: self.shut,
        };
        Ok((leg, self.counted))
    }

    /// Ends the leg so that the other end reads everything.
    pub(super) async fn finish(&mut self) {
        self.close_notify();
        let queued = queue(self.tls.as_ref(), &self.outgoing);
        leg::part(&mut self.socket, queued).await;
    }
}

/// What waits for the socket.
fn queue<'a>(tls: Option<&'a Tls>, outgoing: &'a OffsetBuffer) -> &'a [u8] {
    tls.map_or(outgoing.filled(), Tls::outgoing)
}
