//! An endpoint's end of a path: inner TLS inside the leg, and SWITCH (PROTOCOL.md §6, §7).
use std::ops::Range;

use telerelay_session::PathKey;
use telerelay_wire::Entropy;
use telerelay_wire::ids::{ComputerId, DeviceId};
use telerelay_wire::outer::{Frame, Reader, Switch, path_header, path_view};

use super::{Channel, Content, Input, Leg, export};
use crate::dice::Dice;

/// How a direction of a leg travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layer {
    Wrapped,
    Raw,
}

/// Who an endpoint says it is in the inner handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) device: DeviceId,
    /// An agent's.
    pub(crate) computer: ComputerId,
}

/// How far the inner handshake has come.
#[derive(Clone, Copy, Debug)]
enum Shake {
    /// The client's hello is sent or awaited.
    Hello,
    /// The agent answered and waits for the client's Finished.
    Finished,
    Done,
}

/// Bytes of the inner handshake's flights, beside what stands in them.
const PADDING: [usize; 3] = [1_400, 3_000, 2_000];

const RESUME_LABEL: u64 = 1;
const PATH_LABEL: u64 = 2;

/// One end of a path.
#[derive(Debug)]
pub(crate) struct EndPath {
    /// The session's name for this path.
    pub(crate) key: PathKey,
    me: Peer,
    is_client: bool,
    /// The machine wants it direct.
    is_direct: bool,
    /// SWITCH was sent right behind the handshake, and no raw record has come yet.
    is_on_trial: bool,
    shake: Shake,
    randoms: [u64; 2],
    inner: Channel,
    reading: Layer,
    writing: Layer,
    input: Input,
}

/// What came by a path.
#[derive(Debug)]
pub(crate) enum Came {
    Nothing,
    /// Inner TLS is up, with this at the other end.
    Secured(Peer),
    /// Plaintext of inner TLS; see [`EndPath::plaintext`].
    Plaintext(Range<usize>),
    /// Inner `close_notify`.
    Closed,
    /// Outer `close_notify`.
    Ended,
    /// Something came that must not.
    Broken(&'static str),
}

impl EndPath {
    pub(crate) fn new(key: PathKey, me: Peer, is_client: bool, is_direct: bool) -> Self {
        Self {
            key,
            me,
            is_client,
            is_direct,
            is_on_trial: false,
            shake: Shake::Hello,
            randoms: [0; 2],
            inner: Channel::new(0, is_client),
            reading: Layer::Wrapped,
            writing: Layer::Wrapped,
            input: Input::default(),
        }
    }

    /// The client begins.
    pub(crate) fn begin(&mut self, leg: &mut Leg, dice: &mut Dice) {
        self.flight(leg, 0, dice);
    }

    pub(crate) fn is_secured(&self) -> bool {
        matches!(self.shake, Shake::Done)
    }

    /// The exporter of a session's first path.
    pub(crate) fn resume_secret(&self) -> [u8; 32] {
        export(self.randoms, RESUME_LABEL)
    }

    /// The exporter of a later path.
    pub(crate) fn path_exporter(&self) -> [u8; 32] {
        export(self.randoms, PATH_LABEL)
    }

    /// The next thing that came. Call it until nothing does.
    pub(crate) fn came(&mut self, leg: &mut Leg, dice: &mut Dice) -> Came {
        loop {
            let opened = self.input.open(&mut self.inner);
            if self.reading == Layer::Raw && matches!(opened, Ok(Some(_))) {
                self.is_on_trial = false;
            }
            match opened {
                Err(_) => return Came::Broken("a forged inner record"),
                Ok(Some((Content::Alert, _))) => return Came::Closed,
                Ok(Some((Content::Handshake, range))) => match self.shook_hands(leg, range, dice) {
                    Some(came) => return came,
                    None => continue,
                },
                Ok(Some((Content::Data, _))) if !self.is_secured() => {
                    return Came::Broken("data inside the inner handshake");
                }
                Ok(Some((Content::Data, range))) => return Came::Plaintext(range),
                Ok(None) => {}
            }
            if self.reading == Layer::Raw {
                let raw = leg.input.take();
                if raw.is_empty() {
                    return Came::Nothing;
                }
                self.input.put(&raw);
                continue;
            }
            match leg.input.open(&mut leg.channel) {
                Err(_) => return Came::Broken("a forged outer record"),
                Ok(None) => return Came::Nothing,
                Ok(Some((Content::Handshake, _))) => {}
                Ok(Some((Content::Alert, _))) => return Came::Ended,
                Ok(Some((Content::Data, range))) => {
                    let record = leg.input.slice(range);
                    if let Some(bytes) = path_view(record) {
                        self.input.put(bytes);
                    } else if self.writing == Layer::Raw && is_switch(record) {
                        self.reading = Layer::Raw;
                    } else {
                        return Came::Broken("a frame that is none of a path");
                    }
                }
            }
        }
    }

    pub(crate) fn plaintext(&self, range: Range<usize>) -> &[u8] {
        self.input.slice(range)
    }

    /// Queues the plaintext of one inner record.
    pub(crate) fn send(&mut self, leg: &mut Leg, parts: &[&[u8]]) {
        self.seal(leg, Content::Data, parts);
    }

    /// SWITCH was sent right behind the handshake, and no raw record has come yet.
    pub(crate) fn is_on_trial(&self) -> bool {
        self.is_on_trial
    }

    /// Puts the outer TLS of the sending side down; the first raw record is waited for where nothing was carried before.
    pub(crate) fn switch(&mut self, leg: &mut Leg, is_first: bool) -> bool {
        if !self.is_direct || !self.is_secured() || self.writing == Layer::Raw {
            return false;
        }
        leg.send(&Frame::Switch(Switch {}));
        self.writing = Layer::Raw;
        self.is_on_trial = is_first;
        true
    }

    /// Puts a record without plaintext between two PATH records.
    pub(crate) fn key_update(&self, leg: &mut Leg) {
        if self.writing == Layer::Wrapped {
            leg.key_update();
        }
    }

    /// Inner and, where it is still there, outer `close_notify`, and FIN.
    pub(crate) fn finish(&mut self, leg: &mut Leg) {
        if self.is_secured() {
            self.seal(leg, Content::Alert, &[]);
        }
        if self.writing == Layer::Wrapped {
            leg.close_notify();
        }
        leg.finish();
    }

    fn seal(&mut self, leg: &mut Leg, content: Content, parts: &[&[u8]]) {
        match self.writing {
            Layer::Raw => self.inner.seal(content, parts, &mut leg.output),
            Layer::Wrapped => {
                let mut record = Vec::new();
                self.inner.seal(content, parts, &mut record);
                let length = u16::try_from(record.len()).expect("an inner record fits PATH");
                leg.channel.seal(
                    Content::Data,
                    &[&path_header(length), &record],
                    &mut leg.output,
                );
            }
        }
    }

    /// A flight of the inner handshake: who I am, and my part of the key.
    fn flight(&mut self, leg: &mut Leg, number: usize, dice: &mut Dice) {
        let mut random = [0; 8];
        dice.fill(&mut random);
        if number < 2 {
            self.randoms[number] = u64::from_be_bytes(random);
        }
        let padding = vec![0; PADDING[number]];
        let (device, computer) = (self.me.device.0, self.me.computer.0);
        self.seal(
            leg,
            Content::Handshake,
            &[&random, &device, &computer, &padding],
        );
    }

    fn shook_hands(&mut self, leg: &mut Leg, range: Range<usize>, dice: &mut Dice) -> Option<Came> {
        let body = self.input.slice(range);
        let random = u64::from_be_bytes(*body.first_chunk()?);
        let peer = Peer {
            device: DeviceId(*body[8..].first_chunk()?),
            computer: ComputerId(*body[40..].first_chunk()?),
        };
        match (self.is_client, self.shake) {
            (true, Shake::Hello) => {
                self.randoms[1] = random;
                self.flight(leg, 2, dice);
                self.secured();
                Some(Came::Secured(peer))
            }
            (false, Shake::Hello) => {
                self.randoms[0] = random;
                self.flight(leg, 1, dice);
                self.shake = Shake::Finished;
                None
            }
            (false, Shake::Finished) => {
                self.secured();
                Some(Came::Secured(peer))
            }
            (_, Shake::Done) | (true, Shake::Finished) => {
                Some(Came::Broken("a handshake after the handshake"))
            }
        }
    }

    /// From here on records are protected by a key that only these two ends have.
    fn secured(&mut self) {
        let key = self.randoms[0] ^ self.randoms[1].rotate_left(31);
        self.inner = Channel::new(key | 1, self.is_client);
        self.shake = Shake::Done;
    }
}

/// Whether SWITCH is all that stands in a record.
pub(crate) fn is_switch(record: &[u8]) -> bool {
    let mut reader = Reader::new();
    reader.push(record);
    matches!(reader.next(), Ok(Some(Frame::Switch(_)))) && reader.is_between_frames()
}
