//! The strictness that PROTOCOL.md §4 asks of a body, on top of minicbor, which reads more than one form of a value.
//!
//! [`check`] walks a body once and refuses every form but the deterministic one (RFC 8949 §4.2.1); [`decode`] then
//! gives the checked bytes to the derived decoders.
use minicbor::data::Type;
use minicbor::decode::{self, Decoder};
use minicbor::{Decode, Encode};

use crate::frame::FrameError;
use crate::limits;

/// Major types of CBOR (RFC 8949 §3.1).
const UNSIGNED: u8 = 0;
const MAP: u8 = 5;

/// A value of the right CBOR type that the CDDL does not allow. Travels inside minicbor's error to [`decode`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unfit {
    #[error("the size is out of bounds")]
    Size,
    #[error("the value is not one of those the protocol knows")]
    Value,
}

impl From<Unfit> for decode::Error {
    fn from(unfit: Unfit) -> Self {
        Self::custom(unfit)
    }
}

/// Reads a body of a frame of type `kind`.
pub(crate) fn decode<'b, T: Decode<'b, ()>>(kind: u8, body: &'b [u8]) -> Result<T, FrameError> {
    check(kind, body)?;
    minicbor::decode(body).map_err(|error| misfit(kind, &error))
}

/// Appends a body.
pub(crate) fn encode<T: Encode<()>>(value: &T, out: &mut Vec<u8>) {
    minicbor::encode(value, out)
        .expect("a Vec takes every byte and no encoder here has an error of its own");
}

/// Refuses a body that is not one map with ascending unsigned keys in deterministic CBOR.
pub(crate) fn check(kind: u8, body: &[u8]) -> Result<(), FrameError> {
    Walk {
        kind,
        decoder: Decoder::new(body),
    }
    .body()
}

fn misfit(kind: u8, error: &decode::Error) -> FrameError {
    if error.is_missing_value() {
        return FrameError::Missing { kind };
    }
    // Looking for what a negative number is, minicbor looks behind it; nothing else can end too early after the walk.
    if error.is_type_mismatch() || error.is_end_of_input() {
        return FrameError::WrongType { kind };
    }
    if error.is_unknown_variant() {
        return FrameError::UnknownValue { kind };
    }
    match std::error::Error::source(error).and_then(|source| source.downcast_ref()) {
        Some(Unfit::Value) => FrameError::UnknownValue { kind },
        // What is left after the walk is a number that its field cannot hold.
        Some(Unfit::Size) | None => FrameError::OutOfBounds { kind },
    }
}

struct Walk<'b> {
    kind: u8,
    decoder: Decoder<'b>,
}

impl<'b> Walk<'b> {
    fn body(mut self) -> Result<(), FrameError> {
        let kind = self.kind;
        if self.major()? != MAP {
            return Err(FrameError::NotAMap { kind });
        }
        let mut last = None;
        for _ in 0..self.head(Decoder::map)? {
            if self.major()? != UNSIGNED {
                return Err(FrameError::KeyType { kind });
            }
            // The bound keeps keys inside what the derived decoders count in.
            let key = u32::try_from(self.unsigned()?).map_err(|_| FrameError::KeyType { kind })?;
            match last {
                Some(last) if key == last => return Err(FrameError::KeyTwice { kind }),
                Some(last) if key < last => return Err(FrameError::KeyOrder { kind }),
                _ => last = Some(key),
            }
            self.item(1)?;
        }
        if self.decoder.position() == self.decoder.input().len() {
            Ok(())
        } else {
            Err(FrameError::Trailing { kind })
        }
    }

    /// One value, itself `depth` levels below the body.
    fn item(&mut self, depth: u8) -> Result<(), FrameError> {
        let kind = self.kind;
        match self.datatype()? {
            Type::U8 | Type::U16 | Type::U32 | Type::U64 => self.unsigned().map(|_| ()),
            Type::I8 | Type::I16 | Type::I32 | Type::I64 | Type::Int => self.negative(),
            Type::Bytes => {
                let start = self.decoder.position();
                let length = self
                    .decoder
                    .bytes()
                    .map_err(|_| FrameError::Truncated { kind })?
                    .len();
                self.shortest(start, length as u64, length)
            }
            Type::String => {
                let start = self.decoder.position();
                let length = self
                    .decoder
                    .str()
                    .map_err(|error| self.broken(&error))?
                    .len();
                self.shortest(start, length as u64, length)
            }
            Type::Bool => self
                .decoder
                .bool()
                .map(|_| ())
                .map_err(|error| self.broken(&error)),
            Type::Array | Type::Map if depth >= limits::CBOR_DEPTH => {
                Err(FrameError::TooDeep { kind })
            }
            Type::Array => {
                for _ in 0..self.head(Decoder::array)? {
                    self.item(depth + 1)?;
                }
                Ok(())
            }
            Type::Map => self.nested_map(depth),
            Type::BytesIndef | Type::StringIndef | Type::ArrayIndef | Type::MapIndef => {
                Err(FrameError::Indefinite { kind })
            }
            _ => Err(FrameError::Foreign { kind }),
        }
    }

    /// A map inside a value of a key that a later version gave a meaning: its keys ascend bytewise.
    fn nested_map(&mut self, depth: u8) -> Result<(), FrameError> {
        let kind = self.kind;
        let mut last: Option<&[u8]> = None;
        for _ in 0..self.head(Decoder::map)? {
            let start = self.decoder.position();
            self.item(depth + 1)?;
            let key = &self.decoder.input()[start..self.decoder.position()];
            match last {
                Some(last) if key == last => return Err(FrameError::KeyTwice { kind }),
                Some(last) if key < last => return Err(FrameError::KeyOrder { kind }),
                _ => last = Some(key),
            }
            self.item(depth + 1)?;
        }
        Ok(())
    }

    /// The major type of the next item (RFC 8949 §3.1), whatever the rest of it is.
    fn major(&self) -> Result<u8, FrameError> {
        let next = self.decoder.input().get(self.decoder.position());
        next.map(|byte| byte >> 5)
            .ok_or(FrameError::Truncated { kind: self.kind })
    }

    fn datatype(&self) -> Result<Type, FrameError> {
        self.decoder
            .datatype()
            .map_err(|_| FrameError::Truncated { kind: self.kind })
    }

    fn unsigned(&mut self) -> Result<u64, FrameError> {
        let start = self.decoder.position();
        let value = self.decoder.u64().map_err(|error| self.broken(&error))?;
        self.shortest(start, value, 0)?;
        Ok(value)
    }

    fn negative(&mut self) -> Result<(), FrameError> {
        let start = self.decoder.position();
        let value = i128::from(self.decoder.int().map_err(|error| self.broken(&error))?);
        // CBOR stores −1 − n (RFC 8949 §3.1), which is the complement.
        self.shortest(start, u64::try_from(!value).unwrap_or(u64::MAX), 0)
    }

    /// The head of an array or a map of definite length: the number of what follows.
    fn head(
        &mut self,
        read: impl FnOnce(&mut Decoder<'b>) -> Result<Option<u64>, decode::Error>,
    ) -> Result<u64, FrameError> {
        let start = self.decoder.position();
        let count = read(&mut self.decoder).map_err(|error| self.broken(&error))?;
        let count = count.ok_or(FrameError::Indefinite { kind: self.kind })?;
        self.shortest(start, count, 0)?;
        Ok(count)
    }

    /// The item since `start` has the shortest head for `argument`, and `content` bytes behind it.
    fn shortest(&self, start: usize, argument: u64, content: usize) -> Result<(), FrameError> {
        let head = match argument {
            0..=23 => 1,
            24..=0xff => 2,
            0x100..=0xffff => 3,
            0x1_0000..=0xffff_ffff => 5,
            _ => 9,
        };
        if self.decoder.position() - start == head + content {
            Ok(())
        } else {
            Err(FrameError::NotShortest { kind: self.kind })
        }
    }

    fn broken(&self, error: &decode::Error) -> FrameError {
        let kind = self.kind;
        if error.is_end_of_input() {
            FrameError::Truncated { kind }
        } else if std::error::Error::source(error)
            .is_some_and(<dyn std::error::Error>::is::<core::str::Utf8Error>)
        {
            FrameError::NotUtf8 { kind }
        } else {
            FrameError::Foreign { kind }
        }
    }
}
