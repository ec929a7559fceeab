//! The frames between endpoint and node, one struct each, fields as in the CDDL (PROTOCOL.md §4).
use core::fmt;

use minicbor::{Decode, Encode};

use crate::bounded::{List, Octets, Text};
use crate::code::Reason;
use crate::frame::{self, Body, CRITICAL, FrameError, HEADER, Header, frames};
use crate::ids::{
    AttemptId, ClientAddress, ComputerId, DeviceId, Feature, Instance, NewsKind, NodeAddress,
    NodeName, NoticeHash, PathId, Program, Resume, Role, Service, SessionId, Stage,
};

/// The first flight of the inner handshake; reserved.
pub type Early = Octets<0, 4096>;
/// What one side can do beyond version 1.
pub type Features = List<Feature, 0, 16>;

/// The first frame of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cbor(map)]
pub struct Hello {
    /// Protocol version.
    #[n(0)]
    pub version: u16,
    /// What the endpoint says it is.
    #[n(1)]
    pub role: Role,
    /// What it can do beyond version 1.
    #[n(2)]
    pub features: Features,
    /// Its process.
    #[n(3)]
    pub instance: Instance,
    /// Rises with every dial of this instance.
    #[n(4)]
    pub counter: u64,
    /// Its program, self-reported.
    #[n(5)]
    pub program: Program,
}

/// The node admits the endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cbor(map)]
pub struct Welcome {
    /// Protocol version.
    #[n(0)]
    pub version: u16,
    /// What the node can do beyond version 1, `direct` for SWITCH.
    #[n(1)]
    pub features: Features,
    /// The node's name.
    #[n(2)]
    pub node: NodeName,
    /// Seconds between two KEEPALIVE.
    #[n(3)]
    pub keepalive: u16,
    /// Version of the newest node list.
    #[n(4)]
    pub nodes_version: u64,
    /// Seconds over which agents spread their return (§5.7).
    #[n(5)]
    pub return_window: u16,
    /// A sentence of the operator.
    #[n(6)]
    pub banner: Option<Text<0, 512>>,
}

/// The last frame of a leg that ends before it is a path.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cbor(map)]
pub struct Error {
    /// Why.
    #[n(0)]
    pub code: Reason,
    /// Seconds until another try makes sense: absent = do not, 0 = now.
    #[n(1)]
    pub retry: Option<u32>,
    /// The sender's clock, Unix seconds.
    #[n(2)]
    pub server_time: u64,
    /// The attempt that ends.
    #[n(3)]
    pub attempt: Option<AttemptId>,
    /// With `VERSION`: the versions that the sender speaks.
    #[n(4)]
    pub supported: Option<List<u16, 1, 8>>,
    /// How many are before this attempt, where it was one too many: `retry` is when its turn comes.
    #[n(5)]
    pub place: Option<u32>,
}

/// I am here; with `ask`, are you?
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cbor(map)]
pub struct Keepalive {
    /// Whether an answer is wanted.
    #[n(0)]
    pub ask: bool,
    /// Seconds over which agents spread their return (§5.7); the node's answer has it.
    #[n(1)]
    pub return_window: Option<u16>,
}

/// The node is about to stop: dial another one.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cbor(map)]
pub struct Goaway {
    /// Where to.
    #[n(0)]
    pub nodes: List<NodeAddress, 0, 8>,
    /// Seconds over which agents spread their leaving.
    #[n(1)]
    pub spread: u16,
}

/// The node is about to end a path of this agent.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cbor(map)]
pub struct Cut {
    /// The path.
    #[n(0)]
    pub path: PathId,
    /// Why.
    #[n(1)]
    pub code: Reason,
}

/// A document has a new version.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cbor(map)]
pub struct News {
    /// Which document.
    #[n(0)]
    pub kind: NewsKind,
    /// Its version (a stamp's epoch).
    #[n(1)]
    pub version: u64,
    /// The document itself, where it is small enough.
    #[n(2)]
    pub document: Option<Octets<1, 1984>>,
}

/// A client asks for this computer. All of it is the node's word; the agent checks the device in inner TLS.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cbor(map)]
pub struct Incoming {
    /// The path that ACCEPT or REFUSE names.
    #[n(0)]
    pub path: PathId,
    /// The client's attempt.
    #[n(1)]
    pub attempt: AttemptId,
    /// The client's device.
    #[n(2)]
    pub client: DeviceId,
    /// What is asked for.
    #[n(3)]
    pub service: Service,
    /// Where the client dialled from.
    #[n(4)]
    pub address: ClientAddress,
    /// The client's program, self-reported.
    #[n(5)]
    pub program: Program,
    /// The session to go on with.
    #[n(6)]
    pub resume: Option<Resume>,
    /// The client's first flight; reserved.
    #[n(7)]
    pub early: Option<Early>,
}

/// The agent takes the request.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cbor(map)]
pub struct Accept {
    /// The path of INCOMING.
    #[n(0)]
    pub path: PathId,
    /// The agent's first flight; reserved.
    #[n(1)]
    pub early: Option<Early>,
}

/// The agent refuses the request; its leg is ready again.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cbor(map)]
pub struct Refuse {
    /// The path of INCOMING.
    #[n(0)]
    pub path: PathId,
    /// The attempt of INCOMING.
    #[n(1)]
    pub attempt: AttemptId,
    /// Why.
    #[n(2)]
    pub code: Reason,
}

/// A client asks for a computer.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cbor(map)]
pub struct Connect {
    /// Which computer.
    #[n(0)]
    pub computer: ComputerId,
    /// What for.
    #[n(1)]
    pub service: Service,
    /// The attempt.
    #[n(2)]
    pub attempt: AttemptId,
    /// The session to go on with.
    #[n(3)]
    pub resume: Option<Resume>,
    /// The first flight; reserved.
    #[n(4)]
    pub early: Option<Early>,
}

/// The agent is at another node.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cbor(map)]
pub struct Redirect {
    /// That node.
    #[n(0)]
    pub node: NodeAddress,
    /// The attempt, which goes on there.
    #[n(1)]
    pub attempt: Option<AttemptId>,
}

/// Both legs are one path now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cbor(map)]
pub struct Paired {
    /// The path.
    #[n(0)]
    pub path: PathId,
}

/// Bytes that one PATH frame carries at most: with its header exactly one full record of outer TLS.
pub const PATH_MAXIMUM: u16 = 16_380;

/// Bytes of inner TLS, at least one. Debug shows their number only.
#[derive(Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Path<'a> {
    /// The bytes.
    #[cfg_attr(
        feature = "serde",
        serde(serialize_with = "crate::ids::hexadecimal::serialize")
    )]
    pub bytes: &'a [u8],
}

impl fmt::Debug for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Path({} bytes)", self.bytes.len())
    }
}

/// The outer TLS of this direction ends with the record that this frame ends (§6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cbor(map)]
pub struct Switch {}

/// How a path ended, in the agent's words.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cbor(map)]
pub struct SessionEnd {
    /// The path.
    #[n(0)]
    pub path: PathId,
    /// How it ended.
    #[n(1)]
    pub code: Reason,
    /// How far it had come.
    #[n(2)]
    pub stage: Stage,
    /// The session, where one was opened.
    #[n(3)]
    pub session: Option<SessionId>,
    /// The notices that were confirmed.
    #[n(4)]
    pub notices: List<NoticeHash, 0, 16>,
}

frames! {
    /// A frame between endpoint and node.
    /// The language between endpoint and node.
    Outer {
        0x01 "HELLO" true 1_024 Hello(Hello);
        0x02 "WELCOME" true 1_024 Welcome(Welcome);
        0x03 "ERROR" true 1_024 Error(Error);
        0x10 "KEEPALIVE" true 1_024 Keepalive(Keepalive);
        0x11 "GOAWAY" false 1_024 Goaway(Goaway);
        0x12 "CUT" true 1_024 Cut(Cut);
        0x13 "NEWS" false 2_048 News(News);
        0x20 "INCOMING" true 6_144 Incoming(Incoming);
        0x21 "ACCEPT" true 6_144 Accept(Accept);
        0x22 "REFUSE" true 1_024 Refuse(Refuse);
        0x23 "CONNECT" true 6_144 Connect(Connect);
        0x24 "REDIRECT" true 1_024 Redirect(Redirect);
        0x25 "PAIRED" true 1_024 Paired(Paired);
        #[cfg_attr(feature = "serde", serde(skip_deserializing))]
        0x30 "PATH" true PATH_MAXIMUM Path(Path<'a>);
        0x31 "SWITCH" true 1 Switch(Switch);
        0x40 "SESSION_END" true 1_024 SessionEnd(SessionEnd);
    }
}

/// Reads what endpoint and node send each other.
pub type Reader = frame::Reader<Outer>;

const PATH: u8 = 0x30;

/// The header of a PATH frame with `length` bytes, for whoever writes the bytes behind it without copying them first.
///
/// # Panics
/// In a debug build, where `length` is not 1 to [`PATH_MAXIMUM`].
pub const fn path_header(length: u16) -> [u8; HEADER] {
    debug_assert!(
        length > 0 && length <= PATH_MAXIMUM,
        "PATH carries 1 to 16,380 bytes"
    );
    Header {
        length,
        kind: PATH,
        flags: CRITICAL,
    }
    .to_bytes()
}

/// The bytes of a PATH frame where `record` is exactly one, as the sender must make it (§4): the hot path reads them
/// in place. Anything else, broken or not, is for the [`Reader`].
pub fn path_view(record: &[u8]) -> Option<&[u8]> {
    let (header, bytes) = record.split_first_chunk::<HEADER>()?;
    let length = u16::try_from(bytes.len())
        .ok()
        .filter(|length| (1..=PATH_MAXIMUM).contains(length))?;
    (*header == path_header(length)).then_some(bytes)
}

impl<'a> Body<'a> for Path<'a> {
    fn read(kind: u8, bytes: &'a [u8]) -> Result<Self, FrameError> {
        if bytes.is_empty() {
            Err(FrameError::TooShort { kind })
        } else {
            Ok(Self { bytes })
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.bytes);
    }
}
