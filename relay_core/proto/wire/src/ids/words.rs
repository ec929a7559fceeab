//! The small words of the frames: role, service, stage, kind of news (PROTOCOL.md §4).
use core::fmt;
use core::str::FromStr;

use minicbor::decode::{self, Decoder};
use minicbor::encode::{self, Encoder, Write};
use minicbor::{Decode, Encode};

use crate::cbor::Unfit;

/// A text or number that is none of the protocol's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("none of the words that stand here")]
pub struct UnknownWord;

macro_rules! words {
    ($(#[$doc:meta])+ $name:ident { $($(#[$word_doc:meta])+ $variant:ident $word:literal,)+ }) => {
        $(#[$doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$word_doc])+ $variant,)+
        }

        impl $name {
            /// All of them, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                Self::ALL.iter().copied().find(|word| word.as_str() == text).ok_or(UnknownWord)
            }
        }

        #[cfg(feature = "serde")]
        super::as_text!($name);
    };
}

/// Words that travel as numbers, in the order of the enum.
macro_rules! numbered {
    ($name:ident) => {
        impl<C> Encode<C> for $name {
            fn encode<W: Write>(
                &self,
                e: &mut Encoder<W>,
                _: &mut C,
            ) -> Result<(), encode::Error<W::Error>> {
                e.u8(*self as u8)?.ok()
            }
        }

        impl<'b, C> Decode<'b, C> for $name {
            fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
                let index = usize::try_from(d.u64()?).map_err(|_| Unfit::Value)?;
                Self::ALL.get(index).copied().ok_or(Unfit::Value.into())
            }
        }
    };
}

words! {
    /// What a path carries.
    Service {
        /// Remote Framebuffer (VNC).
        Rfb "rfb",
        /// Remote Desktop Protocol.
        Rdp "rdp",
    }
}

words! {
    /// What a machine is towards a node.
    Role {
        /// The program on the office PC.
        Agent "agent",
        /// The program on the home PC.
        Client "client",
        /// A node towards a node of the other side.
        Bridge "bridge",
    }
}

words! {
    /// How far an attempt or a session had come when it ended.
    Stage {
        /// Dialling the node.
        Dial "dial",
        /// HELLO and its answer.
        Hello "hello",
        /// The node decides where the request goes.
        Route "route",
        /// A ready connection is claimed.
        Claim "claim",
        /// The agent decides.
        Accept "accept",
        /// The handshake of inner TLS.
        Inner "inner",
        /// Factors and notices.
        Auth "auth",
        /// The agent opens its desktop.
        Open "open",
        /// The session runs.
        Session "session",
    }
}

words! {
    /// What a NEWS is about.
    NewsKind {
        /// The computer document.
        Computer "computer",
        /// The freshness stamp.
        Stamp "stamp",
        /// The revocation list.
        Revocations "revocations",
        /// The node list.
        Nodes "nodes",
    }
}

numbered!(Role);
numbered!(Stage);
numbered!(NewsKind);

impl<C> Encode<C> for Service {
    fn encode<W: Write>(
        &self,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        e.str(self.as_str())?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Service {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
        d.str()?.parse().map_err(|UnknownWord| Unfit::Value.into())
    }
}
