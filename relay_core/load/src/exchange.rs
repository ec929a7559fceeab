//! What viewer and desktop of a run say to each other: keys go up; pictures come down, as answers or by themselves.
use std::io::{self, Cursor};

use bytes::Buf;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt};

/// The desktop speaks first.
pub(crate) const GREETING: &[u8; 12] = b"RFB 003.008\n";
/// Bytes that every message begins with, so that none is shorter.
pub(crate) const HEADER: u32 = 8;
/// The most bytes of a message: a full picture of a small screen.
pub(crate) const MESSAGE_MOST: u32 = 1024 * 1024;

/// What a message is filled up with.
static FILLING: [u8; MESSAGE_MOST as usize] = [0; MESSAGE_MOST as usize];

/// The viewer's first words: what the desktop draws by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    /// Nothing.
    Still,
    /// The screen of this seed by the model of this number.
    Screen { model: u16, seed: u64 },
}

/// Something that the viewer sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    /// Of those that are answered in this session; begins again at 0.
    pub(crate) number: u16,
    /// How long it is, its header included.
    pub(crate) length: u32,
    /// How long its answer is; 0: none is wanted.
    pub(crate) answer: u32,
}

/// Something that the desktop draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Picture {
    /// How long it is, its header included.
    pub(crate) length: u32,
    /// The key that it answers.
    pub(crate) answers: Option<u16>,
}

impl Opening {
    const STILL: u16 = u16::MAX;

    pub(crate) fn encoded(self) -> [u8; 10] {
        let (model, seed) = match self {
            Self::Still => (Self::STILL, 0),
            Self::Screen { model, seed } => (model, seed),
        };
        let mut bytes = [0; 10];
        bytes[..2].copy_from_slice(&model.to_be_bytes());
        bytes[2..].copy_from_slice(&seed.to_be_bytes());
        bytes
    }

    pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Self> {
        let (model, seed) = (stream.read_u16().await?, stream.read_u64().await?);
        Ok(match model {
            Self::STILL => Self::Still,
            model => Self::Screen { model, seed },
        })
    }
}

impl Key {
    pub(crate) fn encoded(self) -> impl Buf {
        let mut header = [0; HEADER as usize];
        // Both are below 2^24.
        header[..3].copy_from_slice(&self.length.to_be_bytes()[1..]);
        header[3..6].copy_from_slice(&self.answer.to_be_bytes()[1..]);
        header[6..].copy_from_slice(&self.number.to_be_bytes());
        filled(header, self.length)
    }

    /// The next one of a stream.
    pub(crate) async fn read(stream: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Self> {
        let mut header = [0; HEADER as usize];
        stream.read_exact(&mut header).await?;
        let [l2, l1, l0, a2, a1, a0, n1, n0] = header;
        let key = Self {
            number: u16::from_be_bytes([n1, n0]),
            length: u32::from_be_bytes([0, l2, l1, l0]),
            answer: u32::from_be_bytes([0, a2, a1, a0]),
        };
        if key.answer > MESSAGE_MOST {
            return Err(io::ErrorKind::InvalidData.into());
        }
        skip_rest(stream, key.length).await?;
        Ok(key)
    }
}

impl Picture {
    pub(crate) fn encoded(self) -> impl Buf {
        let mut header = [0; HEADER as usize];
        header[..4].copy_from_slice(&self.length.to_be_bytes());
        if let Some(number) = self.answers {
            header[4..6].copy_from_slice(&1_u16.to_be_bytes());
            header[6..].copy_from_slice(&number.to_be_bytes());
        }
        filled(header, self.length)
    }

    /// The next one of a stream, whole.
    pub(crate) async fn read(stream: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Self> {
        let length = stream.read_u32().await?;
        let (is_answer, number) = (stream.read_u16().await?, stream.read_u16().await?);
        skip_rest(stream, length).await?;
        Ok(Self {
            length,
            answers: (is_answer == 1).then_some(number),
        })
    }
}

/// One message, to be written at once.
fn filled(header: [u8; HEADER as usize], length: u32) -> impl Buf {
    Buf::chain(
        Cursor::new(header),
        &FILLING[HEADER as usize..length as usize],
    )
}

/// Behind the header of a message.
async fn skip_rest(stream: &mut (impl AsyncBufRead + Unpin), length: u32) -> io::Result<()> {
    let rest = length.checked_sub(HEADER);
    let mut rest = rest.ok_or(io::ErrorKind::InvalidData)? as usize;
    while rest > 0 {
        let there = stream.fill_buf().await?.len().min(rest);
        if there == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        stream.consume(there);
        rest -= there;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(mut message: impl Buf) -> Vec<u8> {
        let bytes = message.copy_to_bytes(message.remaining());
        bytes.to_vec()
    }

    #[tokio::test]
    async fn what_is_said_is_what_is_heard() {
        for opening in [
            Opening::Still,
            Opening::Screen {
                model: 3,
                seed: u64::MAX,
            },
        ] {
            let said = opening.encoded();
            assert_eq!(Opening::read(&mut &said[..]).await.expect("words"), opening);
        }
        for (length, answer) in [(HEADER, 0), (100, MESSAGE_MOST), (MESSAGE_MOST, HEADER)] {
            let key = Key {
                number: 7,
                length,
                answer,
            };
            let said = bytes(key.encoded());
            assert_eq!(said.len(), length as usize);
            assert_eq!(Key::read(&mut &said[..]).await.expect("a key"), key);
        }
        for (length, answers) in [(HEADER, None), (MESSAGE_MOST, Some(0)), (9, Some(u16::MAX))] {
            let picture = Picture { length, answers };
            let said = bytes(picture.encoded());
            assert_eq!(said.len(), length as usize);
            assert_eq!(
                Picture::read(&mut &said[..]).await.expect("a picture"),
                picture
            );
            let cut = Picture::read(&mut &said[..said.len() - 1]).await;
            assert_eq!(cut.expect_err("cut").kind(), io::ErrorKind::UnexpectedEof);
        }
    }
}
