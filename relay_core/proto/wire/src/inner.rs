//! The frames of the session layer, one struct each, fields as in the CDDL (PROTOCOL.md §8).
use core::fmt;

use minicbor::{Decode, Encode};

use crate::bounded::{List, Octets, Text};
use crate::code::Reason;
use crate::frame::{self, Body, CRITICAL, FrameError, HEADER, Header, frames};
use crate::ids::{
    AttemptId, Instance, NodeAddress, NoticeHash, PathId, Program, Proof, Service, SessionId, Stage,
};

/// The name of a factor.
pub type Method = Text<1, 32>;

/// The agent asks for a factor.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cbor(map)]
pub struct AuthAsk {
    /// Which factor.
    #[n(0)]
    pub method: Method,
    /// What the answer must be bound to.
    #[n(1)]
    pub nonce: Octets<16, 64>,
}

/// The client answers.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cbor(map)]
pub struct AuthAnswer {
    /// Which factor.
    #[n(0)]
    pub method: Method,
    /// The answer.
    #[n(1)]
    pub answer: Octets<0, 512>,
}

/// Every factor is satisfied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cbor(map)]
pub struct AuthDone {}

/// A text that the person must confirm.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cbor(map)]
pub struct Notice {
    /// SHA-256 of the text.
    #[n(0)]
    pub hash: NoticeHash,
    /// The text.
    #[n(1)]
    pub text: Text<1, 8000>,
}

/// The person confirmed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cbor(map)]
pub struct Confirm {
    /// The hash of NOTICE.
    #[n(0)]
    pub hash: NoticeHash,
}

/// The client opens a session.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cbor(map)]
pub struct Open {
    /// What for; as in CONNECT.
    #[n(0)]
    pub service: Service,
    /// The client's process; as in HELLO.
    #[n(1)]
    pub instance: Instance,
    /// The client's program.
    #[n(2)]
    pub program: Program,
    /// The attempt; as in CONNECT.
    #[n(3)]
    pub attempt: AttemptId,
    /// The path; as in PAIRED.
    #[n(4)]
    pub path: PathId,
    /// What the client says about its machine.
    #[n(5)]
    pub posture: Option<Octets<0, 3072>>,
}

/// The desktop is connected: the session lives.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cbor(map)]
pub struct Opened {
    /// The session.
    #[n(0)]
    pub session: SessionId,
    /// Seconds that it lives without a path; 0 = it ends with its path.
    #[n(1)]
    pub resume_limit: u32,
    /// Seconds without input after which it ends.
    #[n(2)]
    pub idle_timeout: u32,
    /// The rules as the person is shown them.
    #[n(3)]
    pub rules: List<Text<1, 64>, 0, 32>,
    /// Where to come back.
    #[n(4)]
    pub nodes: List<NodeAddress, 0, 8>,
}

/// Bytes that DATA carries at most: with header and offset one full record of inner TLS.
pub const DATA_MAXIMUM: u16 = 16_346;

/// Bytes of the stream, at least one. Debug shows their number only: they are what the person sees and types.
#[derive(Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Data<'a> {
    /// Where the first byte stands in the stream.
    pub offset: u64,
    /// The bytes.
    #[cfg_attr(
        feature = "serde",
        serde(serialize_with = "crate::ids::hexadecimal::serialize")
    )]
    pub bytes: &'a [u8],
}

impl fmt::Debug for Data<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Data({} bytes at {})", self.bytes.len(), self.offset)
    }
}

/// So many bytes of the stream were written to the local socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cbor(map)]
pub struct Ack {
    /// Their number.
    #[n(0)]
    pub offset: u64,
}

/// No byte at or above this offset will come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cbor(map)]
pub struct Fin {
    /// The length of the stream.
    #[n(0)]
    pub offset: u64,
}

/// Are you there?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cbor(map)]
pub struct Ping {
    /// What PONG repeats.
    #[n(0)]
    pub token: u64,
}

/// I am.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cbor(map)]
pub struct Pong {
    /// The token of PING.
    #[n(0)]
    pub token: u64,
}

/// Where the agent's ready connection waits.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cbor(map)]
pub struct Standby {
    /// That node.
    #[n(0)]
    pub node: NodeAddress,
}

/// Come to the standby.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cbor(map)]
pub struct Migrate {
    /// Within so many seconds.
    #[n(0)]
    pub within: u16,
}

/// RESUME: go on with a session on this path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cbor(map)]
pub struct ResumeAsk {
    /// The session.
    #[n(0)]
    pub session: SessionId,
    /// The number of this path.
    #[n(1)]
    pub generation: u32,
    /// Bytes that the client wrote to its local socket.
    #[n(2)]
    pub received: u64,
    /// That the client held the session's first inner TLS (§8.4).
    #[n(3)]
    pub proof: Proof,
    /// The attempt that made the path.
    #[n(4)]
    pub attempt: AttemptId,
    /// The path.
    #[n(5)]
    pub path: PathId,
}

/// The session goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cbor(map)]
pub struct Resumed {
    /// Bytes that the agent wrote to its local socket.
    #[n(0)]
    pub received: u64,
}

/// The session ends.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cbor(map)]
pub struct Close {
    /// Why.
    #[n(0)]
    pub code: Reason,
    /// How far it had come.
    #[n(1)]
    pub stage: Stage,
}

frames! {
    /// A frame between agent and client.
    /// The language between agent and client, inside inner TLS.
    Inner {
        0x81 "AUTH_ASK" true 1_024 AuthAsk(AuthAsk);
        0x82 "AUTH_ANSWER" true 1_024 AuthAnswer(AuthAnswer);
        0x83 "AUTH_DONE" true 1_024 AuthDone(AuthDone);
        0x84 "NOTICE" true 8_192 Notice(Notice);
        0x85 "CONFIRM" true 1_024 Confirm(Confirm);
        0x86 "OPEN" true 4_096 Open(Open);
        0x87 "OPENED" true 4_096 Opened(Opened);
        #[cfg_attr(feature = "serde", serde(skip_deserializing))]
        0x90 "DATA" true 16_354 Data(Data<'a>);
        0x91 "ACK" true 1_024 Ack(Ack);
        0x92 "FIN" true 1_024 Fin(Fin);
        0x93 "PING" true 1_024 Ping(Ping);
        0x94 "PONG" true 1_024 Pong(Pong);
        0x95 "STANDBY" false 1_024 Standby(Standby);
        0x96 "MIGRATE" false 1_024 Migrate(Migrate);
        #[cfg_attr(feature = "serde", serde(rename = "RESUME"))]
        0x97 "RESUME" true 1_024 ResumeAsk(ResumeAsk);
        0x98 "RESUMED" true 1_024 Resumed(Resumed);
        0x99 "CLOSE" true 1_024 Close(Close);
    }
}

/// Reads what agent and client send each other.
pub type Reader = frame::Reader<Inner>;

const DATA: u8 = 0x90;
const OFFSET: usize = 8;
/// Bytes before the bytes of a DATA frame: header and offset.
pub const DATA_HEADER: usize = HEADER + OFFSET;

/// Header and offset of a DATA frame with `length` bytes, for whoever writes the bytes behind it without copying them
/// first.
///
/// # Panics
/// In a debug build, where `length` is not 1 to [`DATA_MAXIMUM`].
pub fn data_header(offset: u64, length: u16) -> [u8; DATA_HEADER] {
    debug_assert!(
        (1..=DATA_MAXIMUM).contains(&length),
        "DATA carries 1 to 16,346 bytes"
    );
    let mut head = [0; DATA_HEADER];
    head[..HEADER].copy_from_slice(
        &Header {
            length: length + 8,
            kind: DATA,
            flags: CRITICAL,
        }
        .to_bytes(),
    );
    head[HEADER..].copy_from_slice(&offset.to_be_bytes());
    head
}

impl<'a> Body<'a> for Data<'a> {
    fn read(kind: u8, body: &'a [u8]) -> Result<Self, FrameError> {
        match body.split_first_chunk::<OFFSET>() {
            Some((offset, bytes)) if !bytes.is_empty() => Ok(Self {
                offset: u64::from_be_bytes(*offset),
                bytes,
            }),
            _ => Err(FrameError::TooShort { kind }),
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.offset.to_be_bytes());
        out.extend_from_slice(self.bytes);
    }
}
