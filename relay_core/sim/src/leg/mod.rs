//! One end of a leg: a connection, the outer TLS on it, and what waits in either direction. The same at endpoint and node.
mod channel;
pub(crate) mod path;

use std::ops::Range;

use telerelay_wire::Moment;
use telerelay_wire::outer::{Frame, Reader};
use telerelay_wire::record::HEADER;

use crate::agenda::Agenda;
use crate::invariants::{self, Verdict};
use crate::network::{ConnectionId, End, Network, Read};

pub(crate) use channel::{Channel, Content, Forged, export};

/// Read from the network at once.
const READ: usize = 65_536;

/// Bytes that lie unused at most: a read behind the beginning of a record.
pub(crate) const MOST_INPUT: usize = READ + telerelay_wire::record::MAXIMUM;

/// Bytes of the outer handshake's flights: ClientHello with the hybrid share, the node's flight, the endpoint's.
const FLIGHTS: [usize; 3] = [1_500, 3_000, 2_000];

/// Bytes that were read and not used.
#[derive(Debug, Default)]
pub(crate) struct Input {
    bytes: Vec<u8>,
    used: usize,
}

impl Input {
    pub(crate) fn rest(&self) -> &[u8] {
        &self.bytes[self.used..]
    }

    pub(crate) fn put(&mut self, bytes: &[u8]) {
        self.settle();
        self.bytes.extend_from_slice(bytes);
    }

    /// Takes everything.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        self.settle();
        std::mem::take(&mut self.bytes)
    }

    fn settle(&mut self) {
        if self.used > 0 {
            self.bytes.drain(..self.used);
            self.used = 0;
        }
    }

    /// The next record, opened: its content and where its plaintext stands until more is put.
    pub(crate) fn open(
        &mut self,
        channel: &mut Channel,
    ) -> Result<Option<(Content, Range<usize>)>, Forged> {
        let Some(length) = Channel::whole(self.rest())? else {
            return Ok(None);
        };
        let start = self.used;
        let (content, plaintext) = channel.open(&self.bytes[start..start + length])?;
        let from = start + HEADER;
        self.used = start + length;
        Ok(Some((content, from..from + plaintext.len())))
    }

    pub(crate) fn slice(&self, range: Range<usize>) -> &[u8] {
        &self.bytes[range]
    }
}

/// How far a leg's own outer TLS has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shake {
    /// So many flights were sent or received.
    Flights(usize),
    Done,
}

/// One end of a leg.
#[derive(Debug)]
pub(crate) struct Leg {
    pub(crate) connection: ConnectionId,
    end: End,
    pub(crate) channel: Channel,
    shake: Shake,
    pub(crate) input: Input,
    pub(crate) output: Vec<u8>,
    written: usize,
    pub(crate) frames: Reader,
    /// FIN follows what is queued.
    is_last: bool,
}

/// What a leg's next record was, before there is a path.
#[derive(Debug)]
pub(crate) enum Told {
    /// Nothing: bytes are missing.
    Nothing,
    /// Outer TLS is up.
    Up,
    /// A frame.
    Frame(Frame<'static>),
    /// Bytes that are no frame.
    BadFrame(telerelay_wire::FrameError),
    /// `close_notify`.
    Closed,
    /// No record of this connection.
    Broken,
}

impl Leg {
    pub(crate) fn new(connection: ConnectionId, end: End) -> Self {
        // The connection's number is all that both ends share.
        let key = connection.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        Self {
            connection,
            end,
            channel: Channel::new(key, end == End::Endpoint),
            shake: Shake::Flights(0),
            input: Input::default(),
            output: Vec::new(),
            written: 0,
            frames: Reader::new(),
            is_last: false,
        }
    }

    /// The endpoint's first flight.
    pub(crate) fn hello(&mut self) {
        self.flight(0);
        self.shake = Shake::Flights(1);
    }

    fn flight(&mut self, number: usize) {
        let body = vec![0; FLIGHTS[number]];
        self.channel
            .seal(Content::Handshake, &[&body], &mut self.output);
    }

    /// The next thing that happened before there is a path. Call it until it tells nothing.
    pub(crate) fn told(&mut self) -> Told {
        loop {
            match self.frames.next() {
                Ok(Some(frame)) => return own(frame).map_or(Told::Broken, Told::Frame),
                Ok(None) => {}
                Err(error) => return Told::BadFrame(error),
            }
            match self.input.open(&mut self.channel) {
                Ok(None) => return Told::Nothing,
                Err(Forged) => return Told::Broken,
                Ok(Some((Content::Alert, _))) => return Told::Closed,
                Ok(Some((Content::Data, range))) => {
                    if self.shake != Shake::Done {
                        return Told::Broken;
                    }
                    self.frames.push(self.input.slice(range));
                }
                // After the handshake: a KeyUpdate.
                Ok(Some((Content::Handshake, _))) => {
                    if self.shook_hands() {
                        return Told::Up;
                    }
                }
            }
        }
    }

    /// A handshake record came; whether outer TLS is up by it.
    fn shook_hands(&mut self) -> bool {
        let Shake::Flights(number) = self.shake else {
            return false;
        };
        if self.end == End::Node && number == 0 {
            self.flight(1);
            self.shake = Shake::Flights(2);
            return false;
        }
        if self.end == End::Endpoint {
            self.flight(2);
        }
        self.shake = Shake::Done;
        true
    }

    /// Whether outer TLS is up.
    pub(crate) fn is_up(&self) -> bool {
        self.shake == Shake::Done
    }

    /// Queues a frame in a record of its own.
    pub(crate) fn send(&mut self, frame: &Frame<'_>) {
        let mut bytes = Vec::new();
        frame
            .encode(&mut bytes)
            .expect("the types of its fields bound a frame");
        self.channel
            .seal(Content::Data, &[&bytes], &mut self.output);
    }

    /// Queues a record without plaintext.
    pub(crate) fn key_update(&mut self) {
        self.channel.seal(Content::Handshake, &[], &mut self.output);
    }

    /// Queues `close_notify`.
    pub(crate) fn close_notify(&mut self) {
        self.channel.seal(Content::Alert, &[], &mut self.output);
    }

    /// FIN follows what is queued.
    pub(crate) fn finish(&mut self) {
        self.is_last = true;
    }

    /// Bytes that wait for the network.
    pub(crate) fn backlog(&self) -> usize {
        self.output.len() - self.written
    }

    /// Reads once from the network.
    pub(crate) fn fill(&mut self, network: &mut Network, now: Moment, agenda: &mut Agenda) -> Read {
        self.input.settle();
        network.read(
            self.connection,
            self.end,
            &mut self.input.bytes,
            READ,
            now,
            agenda,
        )
    }

    /// Writes what the network takes. `false`: the connection is broken.
    pub(crate) fn flush(
        &mut self,
        network: &mut Network,
        now: Moment,
        agenda: &mut Agenda,
    ) -> bool {
        while self.backlog() > 0 {
            let bytes = &self.output[self.written..];
            match network.write(self.connection, self.end, bytes, now, agenda) {
                None => return false,
                Some(0) => return true,
                Some(length) => self.written += length,
            }
        }
        self.output.clear();
        self.written = 0;
        if self.is_last {
            network.shut(self.connection, self.end, now, agenda);
        }
        true
    }

    /// Reads what nobody wants any more; whether the other end has closed.
    pub(crate) fn discard(
        &mut self,
        network: &mut Network,
        now: Moment,
        agenda: &mut Agenda,
    ) -> bool {
        loop {
            self.input.take();
            match self.fill(network, now, agenda) {
                Read::Bytes(_) => {}
                Read::Nothing => return false,
                Read::End | Read::Reset => return true,
            }
        }
    }

    pub(crate) fn judge(&self) -> Verdict {
        invariants::buffers_are_bounded("a leg's input", self.input.rest().len(), MOST_INPUT)
    }

    /// Gives the connection up.
    pub(crate) fn close(
        &self,
        abort: bool,
        network: &mut Network,
        now: Moment,
        agenda: &mut Agenda,
    ) {
        network.close(self.connection, self.end, abort, now, agenda);
    }
}

/// A frame that borrows nothing; PATH, which does, is no frame of a leg that is no path.
fn own(frame: Frame<'_>) -> Option<Frame<'static>> {
    Some(match frame {
        Frame::Path(_) => return None,
        Frame::Hello(frame) => frame.into(),
        Frame::Welcome(frame) => frame.into(),
        Frame::Error(frame) => frame.into(),
        Frame::Keepalive(frame) => frame.into(),
        Frame::Goaway(frame) => frame.into(),
        Frame::Cut(frame) => frame.into(),
        Frame::News(frame) => frame.into(),
        Frame::Incoming(frame) => frame.into(),
        Frame::Accept(frame) => frame.into(),
        Frame::Refuse(frame) => frame.into(),
        Frame::Connect(frame) => frame.into(),
        Frame::Redirect(frame) => frame.into(),
        Frame::Paired(frame) => frame.into(),
        Frame::Switch(frame) => frame.into(),
        Frame::SessionEnd(frame) => frame.into(),
    })
}
