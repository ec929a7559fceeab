//! What stands above the socket of one path: outer TLS and PATH frames until SWITCH, inner TLS; no socket inside (PROTOCOL.md
//! §1, §6, §7).
use std::io::{self, BufRead as _, IoSlice, Write as _};

use rustls::{CommonState, Connection, NamedGroup};
use telerelay_leg::config::{INNER_ALPN, INNER_PLAINTEXT};
use telerelay_leg::tls::{Progress, Tls, TlsError};
use telerelay_wire::Code;
use telerelay_wire::frame::FrameError;
use telerelay_wire::outer::{Frame, PATH_MAXIMUM, Reader, Switch, path_header, path_view};

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
    /// A direct leg did not prove itself: the node does not answer SWITCH, or raw records do not get through.
    #[error("no raw record verified in time")]
    Unproven,
    /// The socket broke.
    #[error("{0}")]
    Socket(#[from] io::Error),
}

impl StackError {
    /// Whether the other end did not believe this end's certificate. An alert of another kind tells of a stream that was broken on the way.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self, Self::Inner(error) if TlsError::from(error.clone()).code() == Code::Certificate)
    }

    /// Whether the other end ended inner TLS with an alert.
    pub(crate) fn is_alert(&self) -> bool {
        matches!(self, Self::Inner(rustls::Error::AlertReceived(_)))
    }

    /// Whether it is the other end's own word, authenticated: an end or an alert inside.
    pub(crate) fn is_word(&self) -> bool {
        matches!(self, Self::Left) || self.is_alert()
    }
}

/// The layers of one path at an endpoint. Ciphertext of the socket goes in at [`read_buffer`](Self::read_buffer) and leaves by
/// [`write_to`](Self::write_to); plaintext of the session goes in by [`send`](Self::send) and comes out of [`receive`](Self::receive).
///
/// Each direction puts outer TLS down on its own: sending by [`switch`](Self::switch), receiving when the node answers.
pub(crate) struct Stack {
    /// `None` once nothing of it will be read or sent any more.
    outer: Option<Tls>,
    frames: Reader,
    /// Raw bytes that were read and that inner TLS has not got yet.
    raw: Vec<u8>,
    receiving: Layer,
    sending: Layer,
    /// A raw record verified.
    is_proven: bool,
    inner: Inner,
}

/// How a direction of the leg travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layer {
    /// PATH frames in outer TLS.
    Wrapped,
    /// Records of inner TLS as they are.
    Raw,
}

impl Stack {
    /// Takes over a leg right behind PAIRED; what `frames` holds already belongs to the path.
    pub(crate) fn new(outer: Tls, frames: Reader, inner: Connection) -> Result<Self, StackError> {
        let mut stack = Self {
            outer: Some(outer),
            frames,
            raw: Vec::new(),
            receiving: Layer::Wrapped,
            sending: Layer::Wrapped,
            is_proven: false,
            inner: Inner::new(inner),
        };
        stack.wrap()?;
        Ok(stack)
    }

    /// The vector that bytes from the socket are appended to.
    pub(crate) fn read_buffer(&mut self, room: usize) -> &mut Vec<u8> {
        if let (Some(outer), Layer::Wrapped) = (&mut self.outer, self.receiving) {
            return outer.read_buffer(room);
        }
        self.raw.reserve(room);
        &mut self.raw
    }

    /// Takes everything that was read and gives the session's plaintext to `plaintext`, piece by piece. What inner TLS answers
    /// waits to be written. On an error the alert for the other end does too, where there is one.
    pub(crate) fn receive(&mut self, mut plaintext: impl FnMut(&[u8])) -> Result<(), StackError> {
        let result = self
            .receive_wrapped(&mut plaintext)
            .and_then(|()| self.receive_raw(&mut plaintext));
        let answered = self.wrap();
        result.and(answered)
    }

    /// Takes records of outer TLS, one by one, up to the one that ends in SWITCH.
    fn receive_wrapped(&mut self, plaintext: &mut impl FnMut(&[u8])) -> Result<(), StackError> {
        let Self {
            outer: Some(outer),
            frames,
            inner,
            raw,
            receiving,
            sending,
            ..
        } = self
        else {
            return Ok(());
        };
        if *receiving == Layer::Raw {
            return Ok(());
        }
        let may_switch = *sending == Layer::Raw;
        let mut taken = take_frames(frames, inner, may_switch, plaintext);
        loop {
            if taken? == Next::Raw {
                *receiving = Layer::Raw;
                // A handshake message that SWITCH cut in two has no rest.
                *raw = outer.take_left_over().ok_or(StackError::Misplaced)?;
                return Ok(());
            }
            taken = Ok(Next::Wrapped);
            let progress = outer.read_record(|record| {
                taken = match path_view(record) {
                    Some(bytes) if frames.is_between_frames() => {
                        inner.receive(bytes, plaintext).map(|()| Next::Wrapped)
                    }
                    _ => {
                        frames.push(record);
                        take_frames(frames, inner, may_switch, plaintext)
                    }
                };
            })?;
            match progress {
                Progress::Record => {}
                Progress::Starved => return Ok(()),
                Progress::Closed => return Err(StackError::Closed),
            }
        }
    }

    fn receive_raw(&mut self, plaintext: &mut impl FnMut(&[u8])) -> Result<(), StackError> {
        if self.receiving == Layer::Wrapped {
            return Ok(());
        }
        let Self {
            raw,
            inner,
            is_proven,
            ..
        } = self;
        let result = inner.receive(raw, &mut |piece: &[u8]| {
            *is_proven = true;
            plaintext(piece);
        });
        raw.clear();
        result
    }

    /// Encrypts one piece of the session's plaintext, at most [`INNER_PLAINTEXT`] bytes: one record of inner TLS, and while the
    /// leg is wrapped one PATH frame and one record of outer TLS.
    pub(crate) fn send(&mut self, parts: [&[u8]; 3]) -> Result<(), StackError> {
        self.inner.encrypt(parts)?;
        self.wrap()
    }

    /// Puts outer TLS down in the direction of the node (PROTOCOL.md §6): SWITCH is its last plaintext, and whatever it had to
    /// say leaves before; it is never asked again. The node answers when it has read this far.
    pub(crate) fn switch(&mut self) -> Result<(), StackError> {
        self.wrap()?;
        if let Some(outer) = &mut self.outer {
            let mut frame = Vec::new();
            Frame::Switch(Switch {}).encode(&mut frame)?;
            outer.write(&frame)?;
            outer.freeze();
            self.sending = Layer::Raw;
        }
        Ok(())
    }

    /// SWITCH was sent, and nothing that came behind the node's has verified yet.
    pub(crate) fn is_on_trial(&self) -> bool {
        self.sending == Layer::Raw && !self.is_proven
    }

    /// Says on both layers that nothing follows.
    pub(crate) fn close(&mut self) {
        self.inner.connection.send_close_notify();
        // A leg that cannot take the alert any more is closed without it; the session's CLOSE is what counts.
        if self.wrap().is_ok()
            && self.sending == Layer::Wrapped
            && let Some(outer) = &mut self.outer
        {
            outer.close_notify();
        }
    }

    /// Whether anything waits to be written.
    pub(crate) fn wants_write(&self) -> bool {
        self.unsent() > 0
    }

    /// Bytes that wait to be written.
    pub(crate) fn unsent(&self) -> usize {
        self.outer_unsent().len() + self.inner.unsent()
    }

    fn outer_unsent(&self) -> &[u8] {
        self.outer.as_ref().map_or(&[], Tls::outgoing)
    }

    /// Writes what waits, raw records as they lie in the queue of inner TLS, many a call. The error is the socket's, `WouldBlock`
    /// where it takes no more.
    pub(crate) fn write_to(&mut self, socket: &mut impl io::Write) -> io::Result<()> {
        if let Some(outer) = &mut self.outer {
            while !outer.outgoing().is_empty() {
                let length = socket.write(outer.outgoing())?;
                outer.sent(length);
            }
        }
        if self.sending == Layer::Raw {
            self.inner.write_to(socket)?;
            if self.receiving == Layer::Raw {
                self.outer = None;
            }
        }
        Ok(())
    }

    /// Moves what inner TLS has to say into PATH frames, while the leg is wrapped.
    fn wrap(&mut self) -> Result<(), StackError> {
        match &mut self.outer {
            Some(outer) if self.sending == Layer::Wrapped => self.inner.wrap(outer),
            _ => Ok(()),
        }
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

/// What stands behind the frames of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Wrapped,
    /// SWITCH was the last of them.
    Raw,
}

/// Gives the bytes of whole PATH frames to inner TLS. No other frame comes on a path, but SWITCH where it was asked for.
fn take_frames(
    frames: &mut Reader,
    inner: &mut Inner,
    may_switch: bool,
    plaintext: &mut impl FnMut(&[u8]),
) -> Result<Next, StackError> {
    while let Some(frame) = frames.next()? {
        match frame {
            Frame::Path(path) => inner.receive(path.bytes, plaintext)?,
            Frame::Switch(_) if may_switch => {
                return if frames.is_between_frames() {
                    Ok(Next::Raw)
                } else {
                    Err(StackError::Misplaced)
                };
            }
            _ => return Err(StackError::Misplaced),
        }
    }
    Ok(Next::Wrapped)
}

/// What a record of inner TLS takes more than its plaintext: header, content type and tag (RFC 8446 §5.2).
const RECORD_OVERHEAD: usize = 5 + 1 + 16;

/// Inner TLS, and the buffer in which a PATH frame is put together.
struct Inner {
    connection: Connection,
    frame: Vec<u8>,
    /// Bytes of the session's records that were encrypted and not written yet.
    encrypted: usize,
}

impl Inner {
    fn new(mut connection: Connection) -> Self {
        // Whoever encrypts looks at what waits; a limit of the library would cut records in pieces.
        connection.set_buffer_limit(None);
        Self {
            connection,
            frame: Vec::new(),
            encrypted: 0,
        }
    }

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

    fn encrypt(&mut self, parts: [&[u8]; 3]) -> Result<(), StackError> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        debug_assert!(
            length <= INNER_PLAINTEXT,
            "the session cuts its plaintext into records"
        );
        let written = self
            .connection
            .writer()
            .write_vectored(&parts.map(IoSlice::new))?;
        debug_assert_eq!(written, length, "inner TLS has no limit");
        self.encrypted += written + RECORD_OVERHEAD;
        Ok(())
    }

    /// Bytes that wait to be written: what was encrypted, or a few of the library's own.
    fn unsent(&self) -> usize {
        if self.connection.wants_write() {
            self.encrypted.max(1)
        } else {
            0
        }
    }

    /// Writes records as they lie in the library's queue.
    fn write_to(&mut self, socket: &mut impl io::Write) -> io::Result<()> {
        while self.connection.wants_write() {
            let length = self.connection.write_tls(socket)?;
            // An alert or a KeyUpdate was never counted.
            self.encrypted = self.encrypted.saturating_sub(length);
        }
        self.encrypted = 0;
        Ok(())
    }

    /// Moves what there is to say into PATH frames, an outer record each.
    fn wrap(&mut self, outer: &mut Tls) -> Result<(), StackError> {
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
        self.encrypted = 0;
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
