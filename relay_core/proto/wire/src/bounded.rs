//! Text, bytes and lists that cannot be longer or shorter than the CDDL allows (PROTOCOL.md §4): what does not fit
//! cannot be made, so a frame that exists can be sent.
use core::fmt;
use core::ops::Deref;

use minicbor::decode::{self, Decoder};
use minicbor::encode::{self, Encoder, Write};
use minicbor::{Decode, Encode};

use crate::cbor::Unfit;

/// A value is longer or shorter than the protocol allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{length} instead of {minimum} to {maximum}")]
pub struct OutOfBounds {
    /// The length that was offered: bytes of text or octets, items of a list.
    pub length: usize,
    /// The least that is allowed.
    pub minimum: usize,
    /// The most that is allowed.
    pub maximum: usize,
}

fn within<const MIN: usize, const MAX: usize>(length: usize) -> Result<(), OutOfBounds> {
    if (MIN..=MAX).contains(&length) {
        Ok(())
    } else {
        Err(OutOfBounds {
            length,
            minimum: MIN,
            maximum: MAX,
        })
    }
}

/// UTF-8 of `MIN` to `MAX` bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text<const MIN: usize, const MAX: usize>(String);

impl<const MIN: usize, const MAX: usize> Text<MIN, MAX> {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MIN: usize, const MAX: usize> TryFrom<&str> for Text<MIN, MAX> {
    type Error = OutOfBounds;

    fn try_from(text: &str) -> Result<Self, OutOfBounds> {
        within::<MIN, MAX>(text.len()).map(|()| Self(text.to_owned()))
    }
}

impl<const MIN: usize, const MAX: usize> TryFrom<String> for Text<MIN, MAX> {
    type Error = OutOfBounds;

    fn try_from(text: String) -> Result<Self, OutOfBounds> {
        within::<MIN, MAX>(text.len()).map(|()| Self(text))
    }
}

impl<const MIN: usize, const MAX: usize> Deref for Text<MIN, MAX> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<const MIN: usize, const MAX: usize> fmt::Display for Text<MIN, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<const MIN: usize, const MAX: usize> fmt::Debug for Text<MIN, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl<C, const MIN: usize, const MAX: usize> Encode<C> for Text<MIN, MAX> {
    fn encode<W: Write>(
        &self,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        e.str(&self.0)?.ok()
    }
}

impl<'b, C, const MIN: usize, const MAX: usize> Decode<'b, C> for Text<MIN, MAX> {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
        Self::try_from(d.str()?).map_err(|_| Unfit::Size.into())
    }
}

/// `MIN` to `MAX` bytes. Debug shows their number only: they may be an answer to a question of authentication.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Octets<const MIN: usize, const MAX: usize>(Vec<u8>);

impl<const MIN: usize, const MAX: usize> Octets<MIN, MAX> {
    /// The bytes, owned.
    pub fn into_vec(self) -> Vec<u8> {
        self.0
    }
}

impl<const MIN: usize, const MAX: usize> TryFrom<Vec<u8>> for Octets<MIN, MAX> {
    type Error = OutOfBounds;

    fn try_from(bytes: Vec<u8>) -> Result<Self, OutOfBounds> {
        within::<MIN, MAX>(bytes.len()).map(|()| Self(bytes))
    }
}

impl<const MIN: usize, const MAX: usize> TryFrom<&[u8]> for Octets<MIN, MAX> {
    type Error = OutOfBounds;

    fn try_from(bytes: &[u8]) -> Result<Self, OutOfBounds> {
        within::<MIN, MAX>(bytes.len()).map(|()| Self(bytes.to_vec()))
    }
}

impl<const MIN: usize, const MAX: usize> Deref for Octets<MIN, MAX> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl<const MIN: usize, const MAX: usize> fmt::Debug for Octets<MIN, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl<C, const MIN: usize, const MAX: usize> Encode<C> for Octets<MIN, MAX> {
    fn encode<W: Write>(
        &self,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        e.bytes(&self.0)?.ok()
    }
}

impl<'b, C, const MIN: usize, const MAX: usize> Decode<'b, C> for Octets<MIN, MAX> {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
        Self::try_from(d.bytes()?).map_err(|_| Unfit::Size.into())
    }
}

/// `MIN` to `MAX` items.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct List<T, const MIN: usize, const MAX: usize>(Vec<T>);

impl<T, const MIN: usize, const MAX: usize> List<T, MIN, MAX> {
    /// The items, owned.
    pub fn into_vec(self) -> Vec<T> {
        self.0
    }
}

impl<T, const MAX: usize> Default for List<T, 0, MAX> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T, const MIN: usize, const MAX: usize> TryFrom<Vec<T>> for List<T, MIN, MAX> {
    type Error = OutOfBounds;

    fn try_from(items: Vec<T>) -> Result<Self, OutOfBounds> {
        within::<MIN, MAX>(items.len()).map(|()| Self(items))
    }
}

impl<T, const MIN: usize, const MAX: usize> Deref for List<T, MIN, MAX> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T, const MIN: usize, const MAX: usize> IntoIterator for List<T, MIN, MAX> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a, T, const MIN: usize, const MAX: usize> IntoIterator for &'a List<T, MIN, MAX> {
    type Item = &'a T;
    type IntoIter = core::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<T: fmt::Debug, const MIN: usize, const MAX: usize> fmt::Debug for List<T, MIN, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.0).finish()
    }
}

impl<C, T: Encode<C>, const MIN: usize, const MAX: usize> Encode<C> for List<T, MIN, MAX> {
    fn encode<W: Write>(
        &self,
        e: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        self.0.encode(e, ctx)
    }
}

impl<'b, C, T: Decode<'b, C>, const MIN: usize, const MAX: usize> Decode<'b, C>
    for List<T, MIN, MAX>
{
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, decode::Error> {
        // The number is judged before the first item, so that a promise of 2⁶⁴ items reserves nothing.
        let length = usize::try_from(d.array()?.ok_or(Unfit::Size)?).map_err(|_| Unfit::Size)?;
        within::<MIN, MAX>(length).map_err(|_| Unfit::Size)?;
        let mut items = Vec::with_capacity(length);
        for _ in 0..length {
            items.push(T::decode(d, ctx)?);
        }
        Ok(Self(items))
    }
}

#[cfg(feature = "serde")]
mod named {
    //! Bounded values as JSON: text as text, octets as hexadecimal digits.
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::{Serialize, Serializer};

    use super::{List, Octets, Text};
    use crate::ids::hexadecimal;

    impl<const MIN: usize, const MAX: usize> Serialize for Text<MIN, MAX> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_str(&self.0)
        }
    }

    impl<'de, const MIN: usize, const MAX: usize> Deserialize<'de> for Text<MIN, MAX> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            Self::try_from(String::deserialize(deserializer)?).map_err(D::Error::custom)
        }
    }

    impl<const MIN: usize, const MAX: usize> Serialize for Octets<MIN, MAX> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            hexadecimal::serialize(&self.0, serializer)
        }
    }

    impl<'de, const MIN: usize, const MAX: usize> Deserialize<'de> for Octets<MIN, MAX> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            Self::try_from(hexadecimal::deserialize(deserializer)?).map_err(D::Error::custom)
        }
    }

    impl<T: Serialize, const MIN: usize, const MAX: usize> Serialize for List<T, MIN, MAX> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            self.0.serialize(serializer)
        }
    }

    impl<'de, T: Deserialize<'de>, const MIN: usize, const MAX: usize> Deserialize<'de>
        for List<T, MIN, MAX>
    {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            Self::try_from(Vec::deserialize(deserializer)?).map_err(D::Error::custom)
        }
    }
}
