//! What viewer and desktop of a run say to each other: a key, and the piece of screen that it changes.
use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// The desktop speaks first.
pub(crate) const GREETING: &[u8; 12] = b"RFB 003.008\n";
/// The most bytes of one answer: a full picture of a small screen.
pub(crate) const ANSWER_MOST: u32 = 1024 * 1024;
/// Bytes of a request, and the fewest of an answer.
pub(crate) const HEADER: usize = 12;

/// The viewer's request, and the header of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// Of this session, from 0 on.
    pub(crate) number: u64,
    /// How long the answer is, its header included.
    pub(crate) length: u32,
}

impl Request {
    pub(crate) fn encoded(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..8].copy_from_slice(&self.number.to_be_bytes());
        bytes[8..].copy_from_slice(&self.length.to_be_bytes());
        bytes
    }

    /// The next one of a stream.
    pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Self> {
        Ok(Self {
            number: stream.read_u64().await?,
            length: stream.read_u32().await?,
        })
    }

    /// What the desktop says to it.
    pub(crate) fn answer(self, answer: &mut Vec<u8>) {
        answer.clear();
        answer.extend_from_slice(&self.encoded());
        answer.resize((self.length as usize).max(HEADER), 0);
    }

    /// The viewer takes the next answer, of `length` bytes. Its number.
    pub(crate) async fn read_answer(
        stream: &mut (impl AsyncRead + Unpin),
        length: u32,
        rest: &mut Vec<u8>,
    ) -> io::Result<u64> {
        let header = Self::read(stream).await?;
        if header.length != length {
            return Err(io::ErrorKind::InvalidData.into());
        }
        rest.resize(length as usize - HEADER, 0);
        stream.read_exact(rest).await?;
        Ok(header.number)
    }
}
