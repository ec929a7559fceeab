//! What holds for every frame and for all bytes: what is written is read, however it is cut; there is one way to write
//! a frame; nothing that comes from outside makes the reader panic.
mod frames;

use proptest::collection::vec;
use proptest::prelude::*;
use telerelay_wire::frame::{FrameError, HEADER, Header, Layer, Reader};
use telerelay_wire::inner::{self, Inner};
use telerelay_wire::outer::{self, Outer};
use telerelay_wire::record;

/// Reads a stream that is cut at `cuts`; the number of frames, and the error that ends it.
fn read<L: Layer>(
    stream: &[u8],
    cuts: &[usize],
    mut seen: impl FnMut(L::Frame<'_>),
) -> Option<FrameError> {
    let mut reader = Reader::<L>::new();
    let mut rest = stream;
    for cut in cuts.iter().copied().chain([usize::MAX]) {
        let (piece, behind) = rest.split_at(cut.min(rest.len()));
        rest = behind;
        reader.push(piece);
        loop {
            match reader.next() {
                Ok(Some(frame)) => seen(frame),
                Ok(None) => break,
                Err(error) => return Some(error),
            }
        }
    }
    None
}

fn cuts() -> impl Strategy<Value = Vec<usize>> {
    vec(0_usize..40, 0..30)
}

/// Bytes that get past the header often enough to reach the bodies: some types of both layers, some lengths.
fn nearly_frames() -> impl Strategy<Value = Vec<u8>> {
    let kinds: Vec<u8> = Outer::TYPES
        .iter()
        .chain(Inner::TYPES)
        .map(|row| row.kind)
        .chain([0x7f])
        .collect();
    let frame = (
        prop::sample::select(kinds),
        0_u8..2,
        vec(any::<u8>(), 0..80),
    )
        .prop_map(|(kind, flags, body)| {
            let length = u16::try_from(body.len()).expect("short");
            [
                &Header {
                    length,
                    kind,
                    flags,
                }
                .to_bytes()[..],
                &body,
            ]
            .concat()
        });
    vec(frame, 0..4).prop_map(|frames| frames.concat())
}

/// A good frame of which some bytes are other ones.
fn damaged(frame: Vec<u8>, damage: Vec<(prop::sample::Index, u8)>) -> Vec<u8> {
    damage.into_iter().fold(frame, |mut frame, (index, byte)| {
        let position = index.index(frame.len());
        frame[position] = byte;
        frame
    })
}

macro_rules! layer_properties {
    ($name:ident, $layer:ident, $module:ident, $frame:path) => {
        mod $name {
            use super::*;

            fn encoded(frame: &$module::Frame<'_>) -> Option<Vec<u8>> {
                let mut bytes = b"before".to_vec();
                match frame.encode(&mut bytes) {
                    Ok(()) => Some(bytes.split_off(6)),
                    Err(FrameError::TooLong { .. }) => {
                        assert_eq!(bytes, b"before", "a frame that does not fit leaves nothing");
                        None
                    }
                    Err(other) => panic!("{other}"),
                }
            }

            proptest! {
                #[test]
                fn what_is_written_is_read_however_it_is_cut(frames in vec($frame(), 1..4), cuts in cuts()) {
                    let frames: Vec<_> = frames.iter().map($module::Frame::from).collect();
                    let fitting: Vec<_> = frames.iter().filter_map(|frame| Some((frame, encoded(frame)?))).collect();
                    let stream: Vec<u8> = fitting.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
                    let mut expected = fitting.iter().map(|(frame, _)| *frame);
                    let error = read::<$layer>(&stream, &cuts, |frame| assert_eq!(Some(&frame), expected.next()));
                    prop_assert_eq!(error, None);
                    prop_assert_eq!(expected.next(), None);
                }

                #[test]
                fn all_bytes_are_read_or_refused(stream in prop_oneof![vec(any::<u8>(), 0..300), nearly_frames()], cuts in cuts()) {
                    let (mut whole, mut pieces) = (Vec::new(), Vec::new());
                    let error = read::<$layer>(&stream, &[], |frame| whole.push(format!("{frame:?}")));
                    prop_assert_eq!(read::<$layer>(&stream, &cuts, |frame| pieces.push(format!("{frame:?}"))), error);
                    prop_assert_eq!(whole, pieces);
                }

                /// A body with known keys alone that is accepted is the one that the encoder writes.
                #[test]
                fn there_is_one_way_to_write_a_frame(
                    frame in $frame(),
                    damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
                ) {
                    let Some(bytes) = encoded(&$module::Frame::from(&frame)) else { return Ok(()) };
                    let bytes = damaged(bytes, damage);
                    let mut first = true;
                    read::<$layer>(&bytes, &[], |frame| {
                        let again = encoded(&frame).expect("what was read fits");
                        let length = HEADER + usize::from(Header::parse(&bytes).expect("a header").length);
                        if std::mem::take(&mut first) && again.len() == length && $layer::frame_type(bytes[2]).is_some() {
                            assert_eq!(&again[HEADER..], &bytes[HEADER..length]);
                        }
                    });
                }
            }
        }
    };
}

layer_properties!(outer_layer, Outer, outer, frames::outer);
layer_properties!(inner_layer, Inner, inner, frames::inner);

proptest! {
    #[test]
    fn records_are_the_same_from_any_offset(buffer in vec(any::<u8>(), 0..64), offset in 0_usize..70) {
        let rest = buffer.get(offset..).unwrap_or_default();
        let moved = record::scan(rest, 0).map(|found| found.map(|found| found.range.start + offset..found.range.end + offset));
        prop_assert_eq!(record::scan(&buffer, offset).map(|found| found.map(|found| found.range)), moved);
    }

    /// A header that was accepted is never taken back when more bytes come, and an error never becomes a record.
    #[test]
    fn more_bytes_change_no_verdict(
        content in 19_u8..25, minor in 0_u8..5, length in prop_oneof![any::<u16>(), 0_u16..40],
        body in vec(any::<u8>(), 0..40), filled in 0_usize..45,
    ) {
        let stream = [&[content, 3, minor], &length.to_be_bytes()[..], &body].concat();
        let part = &stream[..filled.min(stream.len())];
        match record::scan(part, 0) {
            Ok(None) => {}
            verdict => prop_assert_eq!(record::scan(&stream, 0), verdict),
        }
    }

    #[test]
    fn path_view_is_what_the_reader_sees(bytes in vec(any::<u8>(), 0..20), kind in prop_oneof![Just(0x30), any::<u8>()], length in 0_u16..20) {
        let record = [&Header { length, kind, flags: 1 }.to_bytes()[..], &bytes].concat();
        if let Some(seen) = outer::path_view(&record) {
            let mut frames = 0;
            let error = read::<Outer>(&record, &[], |frame| {
                frames += 1;
                assert_eq!(frame, outer::Frame::Path(outer::Path { bytes: seen }));
            });
            prop_assert_eq!((error, frames), (None, 1));
        }
    }
}
