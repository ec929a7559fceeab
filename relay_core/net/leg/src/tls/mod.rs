//! Outer TLS of one leg without a socket inside: read record by record, written into a buffer, frozen at SWITCH
//! (PROTOCOL.md §1.2, §6).
mod offset_buffer;
#[cfg(test)]
mod tests;
mod turn;

use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::crypto::SupportedKxGroup;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::UnbufferedServerConnection;
use rustls::{ClientConfig, CommonState, NamedGroup, ServerConfig};
use telerelay_wire::{limits, record};

pub use offset_buffer::OffsetBuffer;
use turn::{Connection, Output, Turn};

/// Why a TLS connection is at its end.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TlsError {
    /// What the other side sent is not TLS, not acceptable, or an alert of its own.
    #[error(transparent)]
    Peer(#[from] rustls::Error),
    /// A record's header is not one of TLS 1.3.
    #[error(transparent)]
    Record(#[from] record::RecordError),
    /// A handshake message larger than any of this protocol.
    #[error("handshake message of more than {} bytes", limits::HANDSHAKE_MESSAGE)]
    HandshakeTooLong,
    /// Plaintext was written before the end of the handshake, behind `close_notify` or behind freeze: a bug of the caller.
    #[error("outer TLS takes no plaintext in this state")]
    NotWritable,
}

/// What one call of [`Tls::read_record`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There is no whole record in the buffer: read more from the socket.
    Starved,
    /// One record was taken. Its plaintext, if it had any, went to the sink.
    Record,
    /// One record was taken: the other side's `close_notify`. Writing may go on; nothing more is read.
    Closed,
}

/// Outer TLS of one leg, either side.
///
/// Bytes from the socket are appended to [`read_buffer`](Self::read_buffer); [`read_record`](Self::read_record) gives rustls
/// one whole record at a time, so that what stands behind the record of SWITCH is left over untouched. Everything to send
/// gathers in [`outgoing`](Self::outgoing).
pub struct Tls {
    connection: Side,
    incoming: OffsetBuffer,
    /// Length of the front of `incoming` that rustls has seen and still refers to: a handshake message that goes on in
    /// the next record.
    pending: usize,
    outgoing: OffsetBuffer,
    frozen: bool,
    peer_closed: bool,
    failure: Option<TlsError>,
}

enum Side {
    Server(Box<UnbufferedServerConnection>),
    Client(Box<UnbufferedClientConnection>),
}

/// Calls a function that is generic over the side.
macro_rules! on_side {
    ($side:expr, $connection:ident => $call:expr) => {
        match $side {
            Side::Server($connection) => $call,
            Side::Client($connection) => $call,
        }
    };
}

impl Tls {
    /// The node's side. Nothing is sent before the ClientHello is read.
    pub fn server(config: Arc<ServerConfig>) -> Result<Self, TlsError> {
        Ok(Self::new(Side::Server(Box::new(
            UnbufferedServerConnection::new(config)?,
        ))))
    }

    /// The endpoint's side. The ClientHello is in [`outgoing`](Self::outgoing) at once.
    pub fn client(config: Arc<ClientConfig>, name: ServerName<'static>) -> Result<Self, TlsError> {
        let mut tls = Self::new(Side::Client(Box::new(UnbufferedClientConnection::new(
            config, name,
        )?)));
        let Turn { failure, .. } = tls.turn(0, &mut |_| {});
        match failure {
            Some(error) => Err(error.into()),
            None => Ok(tls),
        }
    }

    fn new(connection: Side) -> Self {
        Self {
            connection,
            incoming: OffsetBuffer::default(),
            pending: 0,
            outgoing: OffsetBuffer::default(),
            frozen: false,
            peer_closed: false,
            failure: None,
        }
    }

    /// The vector that bytes from the socket are appended to, with room for `room` bytes at least.
    pub fn read_buffer(&mut self, room: usize) -> &mut Vec<u8> {
        self.incoming.spare(room)
    }

    /// Takes one whole record from what was read and gives its plaintext to `plaintext`, which is called at most once.
    ///
    /// An error ends the connection; the alert that tells the other side is in [`outgoing`](Self::outgoing).
    pub fn read_record(&mut self, mut plaintext: impl FnMut(&[u8])) -> Result<Progress, TlsError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        if self.peer_closed {
            return Ok(Progress::Starved);
        }
        let length = match record::scan(self.incoming.filled(), self.pending) {
            Ok(Some(record)) => record.range.len(),
            Ok(None) => return Ok(Progress::Starved),
            Err(error) => return Err(self.fail(error.into())),
        };
        let Turn {
            consumed,
            peer_closed,
            failure,
        } = self.turn(self.pending + length, &mut plaintext);
        self.pending = self.pending + length - consumed;
        self.incoming.consume(consumed);
        if let Some(error) = failure {
            return Err(self.fail(error.into()));
        }
        if self.pending > limits::HANDSHAKE_MESSAGE {
            return Err(self.fail(TlsError::HandshakeTooLong));
        }
        self.peer_closed |= peer_closed;
        Ok(if peer_closed {
            Progress::Closed
        } else {
            Progress::Record
        })
    }

    fn turn(&mut self, offered: usize, plaintext: &mut impl FnMut(&[u8])) -> Turn {
        let incoming = &mut self.incoming.filled_mut()[..offered];
        let mut output = if self.frozen {
            Output::Nowhere
        } else {
            Output::To(&mut self.outgoing)
        };
        on_side!(&mut self.connection, connection => turn::read(&mut **connection, incoming, &mut output, plaintext))
    }

    fn fail(&mut self, error: TlsError) -> TlsError {
        self.failure = Some(error.clone());
        error
    }

    /// Encrypts `plaintext` into [`outgoing`](Self::outgoing): one record where it is at most 16,384 bytes.
    pub fn write(&mut self, plaintext: &[u8]) -> Result<(), TlsError> {
        if self.frozen {
            return Err(TlsError::NotWritable);
        }
        let pending = &mut self.incoming.filled_mut()[..self.pending];
        let outgoing = &mut self.outgoing;
        let written = on_side!(&mut self.connection, connection => {
            turn::write(&mut **connection, pending, outgoing, plaintext)
        });
        if written {
            Ok(())
        } else {
            Err(TlsError::NotWritable)
        }
    }

    /// Says that no plaintext follows, and freezes. Without effect on a connection that cannot say it any more, or not yet.
    pub fn close_notify(&mut self) {
        if !self.frozen {
            let pending = &mut self.incoming.filled_mut()[..self.pending];
            let outgoing = &mut self.outgoing;
            self.frozen = on_side!(&mut self.connection, connection => {
                turn::close_notify(&mut **connection, pending, outgoing)
            });
        }
    }

    /// Never asks rustls for output again: a KeyUpdate reply or an alert would otherwise stand in the middle of raw
    /// records (PROTOCOL.md §6). Call it right behind the write of SWITCH; what is in [`outgoing`](Self::outgoing) is still sent.
    pub fn freeze(&mut self) {
        self.frozen = true;
    }

    /// What stands behind the last record, once that record was SWITCH: raw bytes, untouched by TLS. The read buffer is
    /// empty afterwards. `None` if rustls still refers to some of it: a handshake message was cut by SWITCH.
    pub fn take_left_over(&mut self) -> Option<Vec<u8>> {
        (self.pending == 0).then(|| self.incoming.take())
    }

    /// What is to be sent.
    pub fn outgoing(&self) -> &[u8] {
        self.outgoing.filled()
    }

    /// Drops the first `length` bytes of [`outgoing`](Self::outgoing): they were sent.
    pub fn sent(&mut self, length: usize) {
        self.outgoing.consume(length);
    }

    /// Gives the memory of empty buffers back; for a leg that will be idle.
    pub fn release(&mut self) {
        self.incoming.release();
        self.outgoing.release();
    }

    /// Bytes of memory that the two buffers own.
    pub fn buffered_memory(&self) -> usize {
        self.incoming.capacity() + self.outgoing.capacity()
    }

    /// True until both sides have finished the handshake as far as this side knows.
    pub fn is_handshaking(&self) -> bool {
        self.common().is_handshaking()
    }

    /// The negotiated application protocol, once the handshake has got that far.
    pub fn alpn(&self) -> Option<&[u8]> {
        self.common().alpn_protocol()
    }

    /// The chain of the other side, leaf first, verified by the configuration's verifier.
    pub fn peer_chain(&self) -> &[CertificateDer<'static>] {
        self.common().peer_certificates().unwrap_or_default()
    }

    /// The negotiated group, once the handshake has got that far.
    pub fn group(&self) -> Option<NamedGroup> {
        self.common()
            .negotiated_key_exchange_group()
            .map(SupportedKxGroup::name)
    }

    fn common(&self) -> &CommonState {
        on_side!(&self.connection, connection => connection.common())
    }
}
