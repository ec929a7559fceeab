//! Where one TLS record ends and the next begins (RFC 8446 §5; PROTOCOL.md §1.2): read ahead, hand out one at a time.

use core::ops::Range;

use crate::code::Code;

/// Bytes of a record's header: type, `u16` version, `u16` length.
pub const HEADER: usize = 5;
/// Most bytes behind the header of a protected record: 2¹⁴ of plaintext and 256 of what protection adds (RFC 8446 §5.2).
pub const PROTECTED_MAXIMUM: u16 = 16_384 + 256;
/// Most bytes behind the header of any other record (RFC 8446 §5.1).
pub const PLAIN_MAXIMUM: u16 = 16_384;
/// Most bytes of a record with its header: a read-ahead buffer of this size can always be read on.
pub const MAXIMUM: usize = HEADER + PROTECTED_MAXIMUM as usize;

/// What a record says it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentType {
    /// The dummy of middlebox compatibility (RFC 8446 §D.4).
    ChangeCipherSpec,
    /// An alert that is not protected.
    Alert,
    /// A handshake message that is not protected.
    Handshake,
    /// Everything that is protected.
    ApplicationData,
}

/// A whole record in the buffer that was scanned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What it says it holds.
    pub content: ContentType,
    /// Where it stands, its header included.
    pub range: Range<usize>,
}

/// Bytes that are no TLS 1.3 record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum RecordError {
    /// The first byte is no content type.
    #[error("{0:#04x} is no type of a TLS record")]
    ContentType(u8),
    /// The version is neither 0x0303 nor, for the first `ClientHello`, 0x0301.
    #[error("{0:#06x} is no version of a TLS 1.3 record")]
    Version(u16),
    /// There is nothing in it.
    #[error("an empty TLS record")]
    Empty,
    /// It is longer than TLS allows.
    #[error("a TLS record of {length} bytes, at most {maximum} are allowed")]
    TooLong {
        /// Bytes behind the header.
        length: u16,
        /// What its type allows.
        maximum: u16,
    },
}

impl RecordError {
    /// The code that it ends a leg with (PROTOCOL.md §13).
    pub const fn code(self) -> Code {
        Code::BadFrame
    }

    /// A stable name for metrics and vectors.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ContentType(_) => "content_type",
            Self::Version(_) => "version",
            Self::Empty => "empty",
            Self::TooLong { .. } => "too_long",
        }
    }
}

/// The whole record that begins at `offset`, or `None` where bytes are missing. A header is judged as soon as its five
/// bytes are there, its type and version as soon as they are. `offset` behind the end is as an empty rest.
pub fn scan(buffer: &[u8], offset: usize) -> Result<Option<Record>, RecordError> {
    let rest = buffer.get(offset..).unwrap_or_default();
    let Some(&first) = rest.first() else {
        return Ok(None);
    };
    let content = content_type(first)?;
    let Some(&[_, major, minor]) = rest.first_chunk() else {
        return Ok(None);
    };
    match u16::from_be_bytes([major, minor]) {
        0x0303 => {}
        // RFC 8446 §5.1: the first ClientHello alone, for old middleboxes.
        0x0301 if content == ContentType::Handshake => {}
        version => return Err(RecordError::Version(version)),
    }
    let Some(&[_, _, _, high, low]) = rest.first_chunk() else {
        return Ok(None);
    };
    let length = u16::from_be_bytes([high, low]);
    let maximum = if content == ContentType::ApplicationData {
        PROTECTED_MAXIMUM
    } else {
        PLAIN_MAXIMUM
    };
    if length == 0 {
        return Err(RecordError::Empty);
    }
    if length > maximum {
        return Err(RecordError::TooLong { length, maximum });
    }
    let end = offset + HEADER + usize::from(length);
    Ok((end <= buffer.len()).then_some(Record {
        content,
        range: offset..end,
    }))
}

const fn content_type(byte: u8) -> Result<ContentType, RecordError> {
    match byte {
        20 => Ok(ContentType::ChangeCipherSpec),
        21 => Ok(ContentType::Alert),
        22 => Ok(ContentType::Handshake),
        23 => Ok(ContentType::ApplicationData),
        other => Err(RecordError::ContentType(other)),
    }
}
