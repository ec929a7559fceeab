//! What stands above the socket of one path: outer TLS, PATH frames, inner TLS; no socket inside (PROTOCOL.md §1, §7).
use std::io::{self, BufRead as _, IoSlice, Write as _};

use rustls::{CommonState, Connection, NamedGroup};
use telerelay_leg::config::{INNER_ALPN, INNER_PLAINTEXT};
use telerelay_leg::tls::{Progress, Tls, TlsError};
use telerelay_wire::frame::FrameError;
use telerelay_wire::outer::{Frame, PATH_MAXIMUM, Reader, path_header, path_view};

/// Why a path is at its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StackError {
    /// Outer TLS broke: the node, or something in front of it.
    #[error("outer TLS: {0}")]
    Outer(#[from] TlsError),
    /// The node sent what is no frame.
    #[error("frame: {0}")]
    Frame(#[from] FrameError),
    /// The node sent a frame that has no place on a path.
    #[error("a frame that has no place on a path")]
    Misplaced,
    /// Inner TLS broke: the other end is not who it must be, or somebody between touched a byte.
    #[error("inner TLS: {0}")]
    Inner(#[from] rustls::Error),
    /// The other end said `close_notify` inside: nothing follows.
    #[error("the other end closed the path")]
    Left,
    /// The node ended the leg.
    #[error("the relay ended the connection")]
    Closed,
    /// The inner handshake did not come to its end in time.
    #[error("the other end does not answer")]
    Silent,
    /// The socket broke.
    #[error("{0}")]
    Socket(#[from] io::Error),
}

/// The layers of one path at an endpoint. Ciphertext of the socket goes in at [`read_buffer`](Self::read_buffer) and comes out at
/// [`outgoing`](Self::outgoing); plaintext of the session goes in by [`send`](Self::send) and comes out of [`receive`](Self::receive).
pub(crate) struct Stack {
    outer: Tls,
    frames: Reader,
    inner: Inner,
}

impl Stack {
    /// Takes over a leg right behind PAIRED; what `frames` holds already belongs to the path.
    pub(crate) fn new(outer: Tls, frames: Reader, inner: Connection) -> Result<Self, StackError> {
        let mut stack = Self {
            outer,
            frames,
            inner: Inner {
                connection: inner,
                frame: Vec::new(),
            },
        };
        stack.inner.flush(&mut stack.outer)?;
        Ok(stack)
    }

    /// The vector that bytes from the socket are appended to.
    pub(crate) fn read_buffer(&mut self, room: usize) -> &mut Vec<u8> {
        self.outer.read_buffer(room)
    }

    /// Takes everything that was read and gives the session's plaintext to `plaintext`, piece by piece. What inner TLS answers is in
    /// [`outgoing`](Self::outgoing). On an error the alert for the other end is there too, where there is one.
    pub(crate) fn receive(&mut self, mut plaintext: impl FnMut(&[u8])) -> Result<(), StackError> {
        let result = self.receive_records(&mut plaintext);
        let flushed = self.inner.flush(&mut self.outer);
        result.and(flushed)
    }

    fn receive_records(&mut self, plaintext: &mut impl FnMut(&[u8])) -> Result<(), StackError> {
        let Self {
            outer,
            frames,
            inner,
        } = self;
        take_frames(frames, inner, plaintext)?;
        loop {
            let mut taken = Ok(());
            let progress = outer.read_record(|record| {
                taken = match path_view(record) {
                    Some(bytes) if frames.is_between_frames() => inner.receive(bytes, plaintext),
                    _ => {
                        frames.push(record);
                        take_frames(frames, inner, plaintext)
                    }
                };
            })?;
            taken?;
            match progress {
                Progress::Record => {}
                Progress::Starved => return Ok(()),
                Progress::Closed => return Err(StackError::Closed),
            }
        }
    }

    /// Encrypts one piece of the session's plaintext, at most [`INNER_PLAINTEXT`] bytes: one inner record, one PATH frame, one outer record.
    pub(crate) fn send(&mut self, parts: [&[u8]; 3]) -> Result<(), StackError> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        debug_assert!(
            length <= INNER_PLAINTEXT,
            "the session cuts its plaintext into records"
        );
        let written = self
            .inner
            .connection
            .writer()
            .write_vectored(&parts.map(IoSlice::new))?;
        debug_assert_eq!(
            written, length,
            "the buffer of inner TLS is emptied after each record"
        );
        self.inner.flush(&mut self.outer)
    }

    /// Says on both layers that nothing follows.
    pub(crate) fn close(&mut self) {
        self.inner.connection.send_close_notify();
        // A leg that cannot take the alert any more is closed without it; the session's CLOSE is what counts.
        if self.inner.flush(&mut self.outer).is_ok() {
            self.outer.close_notify();
        }
    }

    /// What is to be sent on the socket.
    pub(crate) fn outgoing(&self) -> &[u8] {
        self.outer.outgoing()
    }

    /// Drops the first `length` bytes of [`outgoing`](Self::outgoing): they were sent.
    pub(crate) fn sent(&mut self, length: usize) {
        self.outer.sent(length);
    }

    /// True until inner TLS has authenticated both ends, as far as this end knows.
    pub(crate) fn is_handshaking(&self) -> bool {
        self.inner.common().is_handshaking()
    }

    /// Whether inner TLS agreed on its protocol (PROTOCOL.md §7).
    pub(crate) fn has_inner_protocol(&self) -> bool {
        self.inner.common().alpn_protocol() == Some(INNER_ALPN)
    }

    /// The group that inner TLS negotiated.
    pub(crate) fn group(&self) -> Option<NamedGroup> {
        self.inner
            .common()
            .negotiated_key_exchange_group()
            .map(rustls::crypto::SupportedKxGroup::name)
    }

    /// 32 bytes that both ends of inner TLS know and nobody else (RFC 8446 §7.5).
    pub(crate) fn export(&self, label: &[u8]) -> Result<[u8; 32], StackError> {
        let secret = match &self.inner.connection {
            Connection::Client(client) => client.export_keying_material([0; 32], label, None),
            Connection::Server(server) => server.export_keying_material([0; 32], label, None),
        };
        Ok(secret?)
    }
}

/// Gives the bytes of whole PATH frames to inner TLS. No other frame comes on a path.
fn take_frames(
    frames: &mut Reader,
    inner: &mut Inner,
    plaintext: &mut impl FnMut(&[u8]),
) -> Result<(), StackError> {
    while let Some(frame) = frames.next()? {
        let Frame::Path(path) = frame else {
            return Err(StackError::Misplaced);
        };
        inner.receive(path.bytes, plaintext)?;
    }
    Ok(())
}

/// Inner TLS, and the buffer in which a PATH frame is put together.
struct Inner {
    connection: Connection,
    frame: Vec<u8>,
}

impl Inner {
    fn receive(
        &mut self,
        mut ciphertext: &[u8],
        plaintext: &mut impl FnMut(&[u8]),
    ) -> Result<(), StackError> {
        while !ciphertext.is_empty() {
            // Reading from a slice cannot fail, and rustls takes bytes whenever its plaintext was fetched, as it is below.
            self.connection
                .read_tls(&mut ciphertext)
                .map_err(|_| StackError::Closed)?;
            self.connection.process_new_packets()?;
            loop {
                // A piece is the plaintext of one record, where it stands.
                let mut reader = self.connection.reader();
                let length = match reader.fill_buf() {
                    Ok([]) => return Err(StackError::Left),
                    Ok(piece) => {
                        plaintext(piece);
                        piece.len()
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(_) => return Err(StackError::Closed),
                };
                reader.consume(length);
            }
        }
        Ok(())
    }

    /// Moves what inner TLS has to say into PATH frames, an outer record each.
    fn flush(&mut self, outer: &mut Tls) -> Result<(), StackError> {
        let mut framer = Framer {
            outer,
            frame: &mut self.frame,
            failure: None,
        };
        while self.connection.wants_write() {
            if self.connection.write_tls(&mut framer).is_err() {
                return Err(framer.failure.map_or(StackError::Closed, StackError::Outer));
            }
        }
        Ok(())
    }

    fn common(&self) -> &CommonState {
        match &self.connection {
            Connection::Client(client) => client,
            Connection::Server(server) => server,
        }
    }
}

/// Takes inner records as rustls writes them, one a call, and puts each into one PATH frame.
struct Framer<'a> {
    outer: &'a mut Tls,
    frame: &'a mut Vec<u8>,
    failure: Option<TlsError>,
}

impl io::Write for Framer<'_> {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        let length = record.len().min(PATH_MAXIMUM.into());
        let Ok(short) = u16::try_from(length) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        if length == 0 {
            return Ok(0);
        }
        self.frame.clear();
        self.frame.extend_from_slice(&path_header(short));
        self.frame.extend_from_slice(&record[..length]);
        self.outer.write(self.frame).map_err(|error| {
            self.failure = Some(error);
            io::Error::from(io::ErrorKind::BrokenPipe)
        })?;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
