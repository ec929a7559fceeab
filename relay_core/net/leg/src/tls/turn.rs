//! One turn of rustls' unbuffered machine, for both sides: bytes of whole records in, plaintext and TLS output out.
use rustls::CommonState;
use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, UnbufferedStatus, WriteTraffic,
};

use super::offset_buffer::OffsetBuffer;

/// What a record takes more than its plaintext: header, content type and tag (RFC 8446 §5.2).
const RECORD_OVERHEAD: usize = 5 + 1 + 16;
/// The most plaintext of one record (RFC 8446 §5.1).
const RECORD_PLAINTEXT: usize = 16_384;

/// What rustls' two unbuffered connections have in common but no trait for.
pub(super) trait Connection {
    type Data;

    fn process<'c, 'i>(
        &'c mut self,
        incoming: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, Self::Data>;

    fn common(&self) -> &CommonState;
}

impl Connection for UnbufferedServerConnection {
    type Data = rustls::server::ServerConnectionData;

    fn process<'c, 'i>(
        &'c mut self,
        incoming: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(incoming)
    }

    fn common(&self) -> &CommonState {
        self
    }
}

impl Connection for UnbufferedClientConnection {
    type Data = rustls::client::ClientConnectionData;

    fn process<'c, 'i>(
        &'c mut self,
        incoming: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(incoming)
    }

    fn common(&self) -> &CommonState {
        self
    }
}

/// What a turn came to.
pub(super) struct Turn {
    /// Bytes from the front of what was offered that rustls has no use for any more.
    pub(super) consumed: usize,
    /// The other side's `close_notify` was among them.
    pub(super) peer_closed: bool,
    /// Why the connection is dead, if it is. An alert that tells the other side is in the output.
    pub(super) failure: Option<rustls::Error>,
}

/// Offers `incoming`, which ends with a whole record, until rustls asks for more.
pub(super) fn read<C: Connection>(
    connection: &mut C,
    incoming: &mut [u8],
    output: &mut Output<'_>,
    plaintext: &mut impl FnMut(&[u8]),
) -> Turn {
    let mut turn = Turn {
        consumed: 0,
        peer_closed: false,
        failure: None,
    };
    loop {
        let UnbufferedStatus {
            mut discard, state, ..
        } = connection.process(&mut incoming[turn.consumed..]);
        let more = match state {
            Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                while let Some(record) = traffic.next_record() {
                    match record {
                        Ok(record) => {
                            discard += record.discard;
                            plaintext(record.payload);
                        }
                        Err(error) => turn.failure = Some(error),
                    }
                }
                turn.failure.is_none()
            }
            Ok(ConnectionState::EncodeTlsData(mut data)) => output.encode(|room| data.encode(room)),
            Ok(ConnectionState::TransmitTlsData(data)) => {
                data.done();
                true
            }
            Ok(ConnectionState::PeerClosed) => {
                turn.peer_closed = true;
                true
            }
            Ok(_) => false,
            Err(error) => {
                turn.failure = Some(error);
                false
            }
        };
        turn.consumed += discard;
        if !more {
            break;
        }
    }
    if turn.failure.is_some() {
        drain_alert(connection, output);
    }
    turn
}

/// After an error rustls has one thing left to say: the alert. It is asked for no more than that, since what it still
/// refers to of the input is not offered here.
fn drain_alert<C: Connection>(connection: &mut C, output: &mut Output<'_>) {
    while connection.common().wants_write() {
        let Ok(ConnectionState::EncodeTlsData(mut data)) = connection.process(&mut []).state else {
            return;
        };
        output.encode(|room| data.encode(room));
    }
}

/// Encrypts `plaintext`, as many records as it needs. `pending` is what rustls still refers to of the input.
/// False where the connection cannot take plaintext: before the handshake's end, after its own `close_notify`.
pub(super) fn write<C: Connection>(
    connection: &mut C,
    pending: &mut [u8],
    outgoing: &mut OffsetBuffer,
    plaintext: &[u8],
) -> bool {
    let records = plaintext.len().div_ceil(RECORD_PLAINTEXT);
    let room = plaintext.len() + records * RECORD_OVERHEAD;
    encrypt_with(connection, pending, outgoing, room, |traffic, room| {
        traffic.encrypt(plaintext, room)
    })
}

/// Encrypts the `close_notify` alert.
#[expect(
    clippy::redundant_closure_for_method_calls,
    reason = "the method's path is not general enough in its lifetime"
)]
pub(super) fn close_notify<C: Connection>(
    connection: &mut C,
    pending: &mut [u8],
    outgoing: &mut OffsetBuffer,
) -> bool {
    encrypt_with(
        connection,
        pending,
        outgoing,
        RECORD_OVERHEAD + 2,
        |traffic, room| traffic.queue_close_notify(room),
    )
}

fn encrypt_with<C: Connection>(
    connection: &mut C,
    pending: &mut [u8],
    outgoing: &mut OffsetBuffer,
    room: usize,
    mut encrypt: impl FnMut(&mut WriteTraffic<'_, C::Data>, &mut [u8]) -> Result<usize, EncryptError>,
) -> bool {
    loop {
        match connection.process(pending).state {
            Ok(ConnectionState::EncodeTlsData(mut data)) => {
                Output::To(outgoing).encode(|room| data.encode(room));
            }
            Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
            Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                let mut room = room;
                loop {
                    match outgoing.append_with(room, |free| encrypt(&mut traffic, free)) {
                        Ok(()) => return true,
                        // A KeyUpdate reply goes first and needs its own room.
                        Err(EncryptError::InsufficientSize(needed)) => room = needed.required_size,
                        Err(EncryptError::EncryptExhausted) => return false,
                    }
                }
            }
            _ => return false,
        }
    }
}

/// Where TLS output goes: into the leg's buffer, or nowhere once the leg is frozen (PROTOCOL.md §6).
pub(super) enum Output<'a> {
    To(&'a mut OffsetBuffer),
    Nowhere,
}

impl Output<'_> {
    /// Takes one encoded message out of rustls. True: there may be more.
    fn encode(&mut self, mut encode: impl FnMut(&mut [u8]) -> Result<usize, EncodeError>) -> bool {
        // The first call only asks for the size: rustls keeps the message when the room is too small.
        let needed = match encode(&mut []) {
            Err(EncodeError::InsufficientSize(needed)) => needed.required_size,
            Ok(_) => return true,
            Err(EncodeError::AlreadyEncoded) => return false,
        };
        match self {
            Self::To(outgoing) => outgoing.append_with(needed, encode).is_ok(),
            Self::Nowhere => encode(&mut vec![0; needed]).is_ok(),
        }
    }
}
