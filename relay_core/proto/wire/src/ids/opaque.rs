//! Identities that are bytes of a fixed length: hashes of keys, random numbers (PROTOCOL.md §2).
use core::fmt;
use core::str::FromStr;

use minicbor::decode::{self, Decoder};
use minicbor::encode::{self, Encoder, Write};
use minicbor::{Decode, Encode};

use crate::cbor::Unfit;
use crate::crockford::{self, Mistyped};
use crate::entropy::Entropy;

/// Implements CBOR (a byte string of exactly this length) and serde for a newtype over `[u8; N]`.
macro_rules! fixed_bytes {
    ($name:ident, $length:literal) => {
        impl<C> Encode<C> for $name {
            fn encode<W: Write>(
                &self,
                e: &mut Encoder<W>,
                _: &mut C,
            ) -> Result<(), encode::Error<W::Error>> {
                e.bytes(&self.0)?.ok()
            }
        }

        impl<'b, C> Decode<'b, C> for $name {
            fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
                <[u8; $length]>::try_from(d.bytes()?)
                    .map(Self)
                    .map_err(|_| Unfit::Size.into())
            }
        }

        #[cfg(feature = "serde")]
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                crate::ids::hexadecimal::serialize(&self.0, serializer)
            }
        }

        #[cfg(feature = "serde")]
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let bytes = crate::ids::hexadecimal::deserialize(deserializer)?;
                <[u8; $length]>::try_from(bytes.as_slice())
                    .map(Self)
                    .map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(super) use fixed_bytes;

/// A newtype over bytes that is shown as hexadecimal digits; Debug shows the first four bytes, enough to tell two
/// apart in a log.
macro_rules! hex_id {
    ($(#[$doc:meta])+ $name:ident, $length:literal) => {
        $(#[$doc])+
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $length]);

        fixed_bytes!($name, $length);

        impl $name {
            /// The bytes.
            pub const fn as_bytes(&self) -> &[u8; $length] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let [a, b, c, d, ..] = self.0;
                write!(f, concat!(stringify!($name), "({:02x}{:02x}{:02x}{:02x}…)"), a, b, c, d)
            }
        }
    };
}

macro_rules! random_id {
    ($name:ident) => {
        impl $name {
            /// A new one.
            pub fn random(entropy: &mut dyn Entropy) -> Self {
                let mut id = Self(Default::default());
                entropy.fill(&mut id.0);
                id
            }
        }
    };
}

hex_id! {
    /// SHA-256 of the `SubjectPublicKeyInfo` of an organisation's root key: the tenant (PROTOCOL.md §2.3).
    OrganisationId, 32
}
hex_id! {
    /// SHA-256 of the `SubjectPublicKeyInfo` of a device's key (PROTOCOL.md §2.3).
    DeviceId, 32
}
hex_id! {
    /// One pairing at a node: made by the node for each CONNECT, used once.
    PathId, 16
}
hex_id! {
    /// What the employee sees, across its paths: made by the agent at OPENED.
    SessionId, 16
}
hex_id! {
    /// One process of an endpoint.
    Instance, 16
}
hex_id! {
    /// SHA-256 of a notice's text, as it is confirmed and recorded.
    NoticeHash, 32
}
hex_id! {
    /// The proof of RESUME (PROTOCOL.md §8.4): an HMAC, so compare it in constant time.
    Proof, 32
}
random_id!(PathId);
random_id!(SessionId);
random_id!(Instance);
random_id!(AttemptId);

/// One connection request of a client, for people: `7KQ2-M9XB` (PROTOCOL.md §2.2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptId(pub [u8; 5]);

fixed_bytes!(AttemptId, 5);

impl AttemptId {
    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 5] {
        &self.0
    }
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, value) in crockford::split::<8>(&self.0).into_iter().enumerate() {
            if index == 4 {
                f.write_str("-")?;
            }
            write!(f, "{}", crockford::character(value))?;
        }
        Ok(())
    }
}

impl fmt::Debug for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AttemptId({self})")
    }
}

impl FromStr for AttemptId {
    type Err = Mistyped;

    fn from_str(text: &str) -> Result<Self, Mistyped> {
        crockford::read::<8>(text).map(|values| Self(crockford::join(&values)))
    }
}

/// The session to go on with, and the number of the path that the client makes for it (PROTOCOL.md §8.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Resume {
    /// The session.
    pub session: SessionId,
    /// The client's number of this path; the first path was 0.
    pub generation: u32,
}

impl<C> Encode<C> for Resume {
    fn encode<W: Write>(
        &self,
        e: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        e.array(2)?
            .encode_with(self.session, ctx)?
            .u32(self.generation)?
            .ok()
    }
}

impl<'b, C> Decode<'b, C> for Resume {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, decode::Error> {
        // Derived decoders take a longer array for a later version's; the CDDL says two.
        if d.array()? != Some(2) {
            return Err(Unfit::Size.into());
        }
        Ok(Self {
            session: d.decode_with(ctx)?,
            generation: d.u32()?,
        })
    }
}
