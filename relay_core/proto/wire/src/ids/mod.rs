//! Who and what is meant: the identities of PROTOCOL.md §2 and the small words of §4, each a type of its own.
mod computer;
mod node;
mod opaque;
mod words;

pub use computer::ComputerId;
pub use node::{Address, ClientAddress, InvalidNodeName, NodeAddress, NodeName};
pub use opaque::{
    AttemptId, DeviceId, Instance, NoticeHash, OrganisationId, PathId, Proof, Resume, SessionId,
};
pub use words::{NewsKind, Role, Service, Stage, UnknownWord};

pub use crate::crockford::Mistyped;

/// Name and version of a program, `telerelay-client/0.1.0`; what the other end says of itself.
pub type Program = crate::bounded::Text<1, 64>;
/// The name of something that a node or an endpoint can do beyond version 1.
pub type Feature = crate::bounded::Text<1, 32>;

/// Implements serde for a type that has `Display` and `FromStr`.
#[cfg(feature = "serde")]
macro_rules! as_text {
    ($name:ty) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                <String as serde::Deserialize>::deserialize(deserializer)?
                    .parse()
                    .map_err(serde::de::Error::custom)
            }
        }
    };
}
#[cfg(feature = "serde")]
pub(crate) use as_text;

#[cfg(feature = "serde")]
pub(crate) mod hexadecimal {
    //! Bytes as lower-case hexadecimal digits, the form of the vectors.
    use core::fmt::Write;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(bytes.len() * 2);
        for byte in bytes {
            write!(text, "{byte:02x}").map_err(serde::ser::Error::custom)?;
        }
        serializer.serialize_str(&text)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits: Option<Vec<u8>> = text
            .chars()
            .map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok()))
            .collect();
        match digits {
            Some(digits) if digits.len() % 2 == 0 => Ok(digits
                .chunks(2)
                .map(|pair| pair[0] << 4 | pair[1])
                .collect()),
            _ => Err(D::Error::custom("not pairs of hexadecimal digits")),
        }
    }
}
