//! Cuts what inner TLS decrypted into frames (PROTOCOL.md §8).
//!
//! Invariant: however the plaintext is cut into pieces, the frames and the error are the same. A frame that stands whole
//! in the input is read where it stands, so that a byte of the screen is not copied here; only what is cut is collected.
use telerelay_wire::FrameError;
use telerelay_wire::frame::{HEADER, Header, Layer};
use telerelay_wire::inner::{Frame, Inner};

/// The beginning of a frame whose end has not come, at most one frame long.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    held: Vec<u8>,
    /// Bytes of an unknown frame that are still to be dropped.
    skip: usize,
    /// What is held was given out as a frame.
    given: bool,
}

impl Frames {
    #[cfg(test)]
    pub(crate) fn heap(&self) -> usize {
        self.held.capacity()
    }

    /// The next frame, and `input` moved behind it; `None` once the input is used up.
    pub(crate) fn next<'f, 'i: 'f>(
        &'f mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<Frame<'f>>, FrameError> {
        if std::mem::take(&mut self.given) {
            self.held = Vec::new();
        }
        loop {
            let skipped = self.skip.min(input.len());
            *input = &input[skipped..];
            self.skip -= skipped;
            if self.skip > 0 || (input.is_empty() && self.held.is_empty()) {
                return Ok(None);
            }
            if self.held.is_empty() {
                match whole(input)? {
                    Cut::Frame { kind, end } => {
                        let (frame, rest) = input.split_at(end);
                        *input = rest;
                        return Inner::decode(kind, &frame[HEADER..]).map(Some);
                    }
                    Cut::Skip { body } => {
                        *input = &input[HEADER..];
                        self.skip = body;
                        continue;
                    }
                    Cut::Short { .. } => {}
                }
            }
            match self.collect(input)? {
                Cut::Frame { kind, .. } => {
                    self.given = true;
                    return Inner::decode(kind, &self.held[HEADER..]).map(Some);
                }
                Cut::Skip { body } => {
                    self.held = Vec::new();
                    self.skip = body;
                }
                Cut::Short { .. } => return Ok(None),
            }
        }
    }

    /// Moves bytes of the input behind what is held, as far as this frame goes.
    fn collect(&mut self, input: &mut &[u8]) -> Result<Cut, FrameError> {
        loop {
            match whole(&self.held)? {
                Cut::Short { missing } if !input.is_empty() => {
                    let (now, later) = input.split_at(missing.min(input.len()));
                    self.held.extend_from_slice(now);
                    *input = later;
                }
                cut => return Ok(cut),
            }
        }
    }
}

/// What stands at the beginning of some bytes.
enum Cut {
    /// A frame of a known type, which ends at `end`.
    Frame { kind: u8, end: usize },
    /// The header of an unknown frame whose body is to be dropped.
    Skip { body: usize },
    /// Not enough: so many bytes more, at least.
    Short { missing: usize },
}

fn whole(bytes: &[u8]) -> Result<Cut, FrameError> {
    let Some(header) = Header::parse(bytes) else {
        return Ok(Cut::Short {
            missing: HEADER - bytes.len(),
        });
    };
    let body = usize::from(header.length);
    Ok(match header.judge::<Inner>()? {
        None => Cut::Skip { body },
        Some(_) if bytes.len() < HEADER + body => Cut::Short {
            missing: HEADER + body - bytes.len(),
        },
        Some(_) => Cut::Frame {
            kind: header.kind,
            end: HEADER + body,
        },
    })
}

#[cfg(test)]
mod tests {
    use telerelay_wire::inner::{Ack, Data, Ping};

    use super::*;

    fn stream() -> Vec<u8> {
        let mut out = Vec::new();
        Frame::Ping(Ping { token: 7 }).encode(&mut out).unwrap();
        // An unknown frame that need not be understood, long enough to be cut.
        out.extend_from_slice(&[0, 5, 0xee, 0, 1, 2, 3, 4, 5]);
        Frame::Data(Data {
            offset: 9,
            bytes: &[5; 20],
        })
        .encode(&mut out)
        .unwrap();
        out.extend_from_slice(&[0, 0, 0xef, 0]);
        Frame::Ack(Ack { offset: 300 }).encode(&mut out).unwrap();
        out
    }

    fn read(pieces: &[&[u8]]) -> Result<Vec<String>, FrameError> {
        let mut frames = Frames::default();
        let mut names = Vec::new();
        for piece in pieces {
            let mut input = *piece;
            while let Some(frame) = frames.next(&mut input)? {
                names.push(format!("{frame:?}"));
            }
            assert!(input.is_empty());
        }
        Ok(names)
    }

    #[test]
    fn every_way_to_cut_a_stream_in_three_gives_the_same_frames() {
        let stream = stream();
        let expected = read(&[&stream]).unwrap();
        assert_eq!(expected.len(), 3);
        for first in 0..=stream.len() {
            for second in first..=stream.len() {
                let pieces = [&stream[..first], &stream[first..second], &stream[second..]];
                assert_eq!(
                    read(&pieces).unwrap(),
                    expected,
                    "cut at {first} and {second}"
                );
            }
        }
    }

    #[test]
    fn byte_by_byte_equals_whole() {
        let stream = stream();
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(read(&bytes), read(&[&stream]));
    }

    #[test]
    fn a_header_is_judged_before_its_body_comes() {
        let too_long = [0xff, 0xff, 0x91, 1];
        let expected = Err(FrameError::TooLong {
            kind: 0x91,
            length: 0xffff,
            maximum: 1_024,
        });
        assert_eq!(read(&[&too_long]), expected);
        assert_eq!(read(&[&too_long[..3], &too_long[3..]]), expected);
        assert_eq!(
            read(&[&[0, 0, 0xee, 1]]),
            Err(FrameError::UnknownCritical { kind: 0xee })
        );
    }

    #[test]
    fn nothing_is_held_between_frames() {
        let stream = stream();
        let mut frames = Frames::default();
        for byte in stream.chunks(1) {
            let mut input = byte;
            while frames.next(&mut input).unwrap().is_some() {}
        }
        assert_eq!((frames.held.capacity(), frames.skip), (0, 0));
    }
}
