//! The frame around every body, and the reader that cuts a stream into frames (PROTOCOL.md §4).
//!
//! Invariant: however a stream is cut into pieces, the reader gives the same frames and the same error; it never holds
//! more than what was pushed and not yet read, and judges a length before it waits for the bytes.
use core::fmt;
use core::marker::PhantomData;

use minicbor::{Decode, Encode};

use crate::cbor;
use crate::code::Code;

/// Bytes of a header: `u16` body length (big endian), `u8` type, `u8` flags.
pub const HEADER: usize = 4;
/// The flag bit of a frame that a receiver must understand.
pub const CRITICAL: u8 = 1;
/// Maximum body length of a type that the receiver does not know.
pub const UNKNOWN_MAXIMUM: u16 = 1_024;

/// What a layer says about one type of its frames: a row of the table in PROTOCOL.md §4 or §8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameType {
    /// The type byte.
    pub kind: u8,
    /// The name as it stands in PROTOCOL.md.
    pub name: &'static str,
    /// Whether the flag bit 0 is set by the sender.
    pub critical: bool,
    /// Maximum length of the body in bytes.
    pub maximum: u16,
}

/// One of the two languages of frames: `outer::Outer` or `inner::Inner`.
pub trait Layer {
    /// A frame of this layer; borrows the bytes of a raw body.
    type Frame<'a>;
    /// Every type of this layer, in ascending order.
    const TYPES: &'static [FrameType];

    /// Reads the body of a frame of a known type, whose length was judged already.
    fn decode(kind: u8, body: &[u8]) -> Result<Self::Frame<'_>, FrameError>;

    /// The type's row, where this layer knows it.
    fn frame_type(kind: u8) -> Option<&'static FrameType> {
        Self::TYPES.iter().find(|row| row.kind == kind)
    }
}

/// The four bytes before a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Length of the body in bytes.
    pub length: u16,
    /// The type byte.
    pub kind: u8,
    /// The flags; bit 0 is [`CRITICAL`].
    pub flags: u8,
}

impl Header {
    /// Reads a header, where four bytes are there.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let [high, low, kind, flags] = *bytes.first_chunk::<HEADER>()?;
        Some(Self {
            length: u16::from_be_bytes([high, low]),
            kind,
            flags,
        })
    }

    /// The bytes of this header.
    pub const fn to_bytes(self) -> [u8; HEADER] {
        let [high, low] = self.length.to_be_bytes();
        [high, low, self.kind, self.flags]
    }

    /// The row of the header's type, or `None` for one that is to be skipped. Everything that can be wrong with a
    /// header alone is an error here, before any memory is reserved for the body.
    pub fn judge<L: Layer>(self) -> Result<Option<&'static FrameType>, FrameError> {
        let Self {
            length,
            kind,
            flags,
        } = self;
        if flags & !CRITICAL != 0 {
            return Err(FrameError::Flags { kind, flags });
        }
        let row = L::frame_type(kind);
        if row.is_none() && flags & CRITICAL != 0 {
            return Err(FrameError::UnknownCritical { kind });
        }
        let maximum = row.map_or(UNKNOWN_MAXIMUM, |row| row.maximum);
        if length > maximum {
            return Err(FrameError::TooLong {
                kind,
                length: length.into(),
                maximum,
            });
        }
        Ok(row)
    }
}

/// Cuts a stream of bytes into the frames of one layer. After an error it gives the same error for ever: a stream that
/// broke the protocol once has no next frame.
pub struct Reader<L> {
    buffer: Vec<u8>,
    start: usize,
    skip: usize,
    broken: Option<FrameError>,
    layer: PhantomData<L>,
}

impl<L> Default for Reader<L> {
    fn default() -> Self {
        Self {
            buffer: Vec::new(),
            start: 0,
            skip: 0,
            broken: None,
            layer: PhantomData,
        }
    }
}

impl<L> Reader<L> {
    /// Bytes that were pushed and not read: the beginning of a frame.
    pub fn held(&self) -> usize {
        self.buffer.len() - self.start
    }
}

impl<L> fmt::Debug for Reader<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("held", &self.held())
            .field("skip", &self.skip)
            .field("broken", &self.broken)
            .finish_non_exhaustive()
    }
}

impl<L: Layer> Reader<L> {
    /// A reader at the beginning of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes of the stream. Call [`Self::next`] until it gives nothing before pushing more; what is
    /// held is then less than one frame.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.broken.is_some() {
            return;
        }
        self.buffer.drain(..self.start);
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame, `None` where bytes are missing.
    #[expect(
        clippy::should_implement_trait,
        reason = "the frame borrows the reader, which Iterator cannot say"
    )]
    pub fn next(&mut self) -> Result<Option<L::Frame<'_>>, FrameError> {
        if let Some(error) = self.broken {
            return Err(error);
        }
        let (row, start, end) = match self.advance() {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(None),
            Err(error) => {
                self.broken = Some(error);
                return Err(error);
            }
        };
        L::decode(row.kind, &self.buffer[start..end])
            .map(Some)
            .inspect_err(|error| self.broken = Some(*error))
    }

    /// Whether the stream stands between two frames. Only there may a direction end or switch (PROTOCOL.md §6).
    pub fn is_between_frames(&self) -> bool {
        self.held() == 0 && self.skip == 0
    }

    /// Steps over the next whole frame: its type and where its body stands in the buffer.
    fn advance(&mut self) -> Result<Option<(&'static FrameType, usize, usize)>, FrameError> {
        loop {
            let skipped = self.skip.min(self.held());
            self.start += skipped;
            self.skip -= skipped;
            let Some(header) = Header::parse(&self.buffer[self.start..]) else {
                return Ok(None);
            };
            let body = self.start + HEADER;
            let Some(row) = header.judge::<L>()? else {
                self.start = body;
                self.skip = header.length.into();
                continue;
            };
            let end = body + usize::from(header.length);
            if end > self.buffer.len() {
                return Ok(None);
            }
            self.start = end;
            return Ok(Some((row, body, end)));
        }
    }
}

/// How the body of one type is read and written: raw bodies by hand, all others as CBOR.
pub(crate) trait Body<'a>: Sized {
    fn read(kind: u8, body: &'a [u8]) -> Result<Self, FrameError>;
    fn write(&self, out: &mut Vec<u8>);
}

impl<'a, T: Decode<'a, ()> + Encode<()>> Body<'a> for T {
    fn read(kind: u8, body: &'a [u8]) -> Result<Self, FrameError> {
        cbor::decode(kind, body)
    }

    fn write(&self, out: &mut Vec<u8>) {
        cbor::encode(self, out);
    }
}

/// Appends a header and a body. Nothing is appended where the body is longer than its type allows: a list of nodes with
/// many addresses can be.
pub(crate) fn enclose<'a>(
    row: &FrameType,
    body: &impl Body<'a>,
    out: &mut Vec<u8>,
) -> Result<(), FrameError> {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER]);
    body.write(out);
    let length = out.len() - start - HEADER;
    let Some(fitting) = u16::try_from(length)
        .ok()
        .filter(|length| *length <= row.maximum)
    else {
        out.truncate(start);
        return Err(FrameError::TooLong {
            kind: row.kind,
            length,
            maximum: row.maximum,
        });
    };
    let header = Header {
        length: fitting,
        kind: row.kind,
        flags: if row.critical { CRITICAL } else { 0 },
    };
    out[start..start + HEADER].copy_from_slice(&header.to_bytes());
    Ok(())
}

/// Makes a layer from its table: type, name, whether critical, maximum, and the struct of the body.
macro_rules! frames {
    (
        #[doc = $frame_doc:literal]
        #[doc = $layer_doc:literal]
        $layer:ident {
            $(
                $(#[$attribute:meta])*
                $kind:literal $name:literal $critical:literal $maximum:tt $variant:ident($body:ty);
            )+
        }
    ) => {
        #[doc = $frame_doc]
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        #[cfg_attr(feature = "serde", serde(tag = "frame", content = "fields", rename_all = "SCREAMING_SNAKE_CASE"))]
        #[expect(missing_docs, reason = "each variant is the struct of its name")]
        pub enum Frame<'a> {
            $($(#[$attribute])* $variant($body),)+
        }

        #[doc = $layer_doc]
        #[derive(Clone, Copy, Debug)]
        pub struct $layer;

        impl $crate::frame::Layer for $layer {
            type Frame<'a> = Frame<'a>;
            const TYPES: &'static [$crate::frame::FrameType] = &[$(
                $crate::frame::FrameType { kind: $kind, name: $name, critical: $critical, maximum: $maximum },
            )+];

            fn decode(kind: u8, body: &[u8]) -> Result<Frame<'_>, FrameError> {
                match kind {
                    $($kind => Body::read(kind, body).map(Frame::$variant),)+
                    _ => Err(FrameError::UnknownCritical { kind }),
                }
            }
        }

        impl Frame<'_> {
            /// The type byte.
            pub const fn kind(&self) -> u8 {
                match self { $(Self::$variant(_) => $kind,)+ }
            }

            /// The name as it stands in PROTOCOL.md.
            pub const fn name(&self) -> &'static str {
                match self { $(Self::$variant(_) => $name,)+ }
            }

            /// Appends the frame, header and body. [`FrameError::TooLong`] where the body is longer than its type
            /// allows; then nothing is appended.
            pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), FrameError> {
                match self {
                    $(Self::$variant(body) => $crate::frame::enclose(
                        &$crate::frame::FrameType { kind: $kind, name: $name, critical: $critical, maximum: $maximum },
                        body,
                        out,
                    ),)+
                }
            }
        }

        $(
            impl<'a> From<$body> for Frame<'a> {
                fn from(body: $body) -> Self {
                    Self::$variant(body)
                }
            }
        )+
    };
}
pub(crate) use frames;

/// Every way in which bytes can break PROTOCOL.md §4 (and the bodies of §8, which are read by the same rules).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum FrameError {
    /// A flag bit other than *critical* is set.
    #[error("frame {kind:#04x}: flags {flags:#04x} mean nothing in this version")]
    Flags {
        /// The type byte.
        kind: u8,
        /// The flags byte.
        flags: u8,
    },
    /// The sender says that the type must be understood, and this receiver does not know it.
    #[error("frame {kind:#04x} is critical and unknown")]
    UnknownCritical {
        /// The type byte.
        kind: u8,
    },
    /// The body is longer than its type allows.
    #[error("frame {kind:#04x}: {length} bytes, at most {maximum} are allowed")]
    TooLong {
        /// The type byte.
        kind: u8,
        /// Length of the body in bytes.
        length: usize,
        /// What the type allows.
        maximum: u16,
    },
    /// A raw body is shorter than its type needs: PATH without a byte, DATA without offset and a byte.
    #[error("frame {kind:#04x}: its raw body is too short")]
    TooShort {
        /// The type byte.
        kind: u8,
    },
    /// The body does not begin with a map.
    #[error("frame {kind:#04x}: the body is not a map")]
    NotAMap {
        /// The type byte.
        kind: u8,
    },
    /// A key of the body's map is not an unsigned integer below 2³².
    #[error("frame {kind:#04x}: a key is not an unsigned integer below 2^32")]
    KeyType {
        /// The type byte.
        kind: u8,
    },
    /// Keys do not ascend.
    #[error("frame {kind:#04x}: keys do not ascend")]
    KeyOrder {
        /// The type byte.
        kind: u8,
    },
    /// The same key stands twice in one map.
    #[error("frame {kind:#04x}: a key stands twice")]
    KeyTwice {
        /// The type byte.
        kind: u8,
    },
    /// A number or a length is not in its shortest form.
    #[error("frame {kind:#04x}: a number is not in its shortest form")]
    NotShortest {
        /// The type byte.
        kind: u8,
    },
    /// A string, an array or a map has no length.
    #[error("frame {kind:#04x}: something has no definite length")]
    Indefinite {
        /// The type byte.
        kind: u8,
    },
    /// The body ends in the middle of an item.
    #[error("frame {kind:#04x}: the body ends too early")]
    Truncated {
        /// The type byte.
        kind: u8,
    },
    /// Bytes stand behind the body's map.
    #[error("frame {kind:#04x}: bytes stand behind the body")]
    Trailing {
        /// The type byte.
        kind: u8,
    },
    /// A tag, a float, null or another item that no body may hold.
    #[error("frame {kind:#04x}: an item of a kind that no body may hold")]
    Foreign {
        /// The type byte.
        kind: u8,
    },
    /// Arrays and maps nest deeper than 8.
    #[error("frame {kind:#04x}: nested too deep")]
    TooDeep {
        /// The type byte.
        kind: u8,
    },
    /// A text string is not UTF-8.
    #[error("frame {kind:#04x}: a text is not UTF-8")]
    NotUtf8 {
        /// The type byte.
        kind: u8,
    },
    /// A field that the CDDL requires is missing.
    #[error("frame {kind:#04x}: a field is missing")]
    Missing {
        /// The type byte.
        kind: u8,
    },
    /// A field's value is of another CBOR type than the CDDL says.
    #[error("frame {kind:#04x}: a field is of the wrong type")]
    WrongType {
        /// The type byte.
        kind: u8,
    },
    /// A number, a length or a number of items is outside what the CDDL allows.
    #[error("frame {kind:#04x}: a field is out of bounds")]
    OutOfBounds {
        /// The type byte.
        kind: u8,
    },
    /// A field's value is none of those that the protocol knows: a role, a service, a stage, the form of a code or name.
    #[error("frame {kind:#04x}: a field has a value that the protocol does not know")]
    UnknownValue {
        /// The type byte.
        kind: u8,
    },
}

impl FrameError {
    /// The code that the other end is answered (PROTOCOL.md §13).
    pub const fn code(self) -> Code {
        Code::BadFrame
    }

    /// A stable name for metrics and vectors.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flags { .. } => "flags",
            Self::UnknownCritical { .. } => "unknown_critical",
            Self::TooLong { .. } => "too_long",
            Self::TooShort { .. } => "too_short",
            Self::NotAMap { .. } => "not_a_map",
            Self::KeyType { .. } => "key_type",
            Self::KeyOrder { .. } => "key_order",
            Self::KeyTwice { .. } => "key_twice",
            Self::NotShortest { .. } => "not_shortest",
            Self::Indefinite { .. } => "indefinite",
            Self::Truncated { .. } => "truncated",
            Self::Trailing { .. } => "trailing",
            Self::Foreign { .. } => "foreign",
            Self::TooDeep { .. } => "too_deep",
            Self::NotUtf8 { .. } => "not_utf8",
            Self::Missing { .. } => "missing",
            Self::WrongType { .. } => "wrong_type",
            Self::OutOfBounds { .. } => "out_of_bounds",
            Self::UnknownValue { .. } => "unknown_value",
        }
    }
}
