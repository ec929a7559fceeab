//! Fuzz entry points, one function a surface; each must accept any bytes without panicking.
//!
//! They panic where a rule of the surface does not hold: a stream means the same however it is cut, and what was read
//! can be written and is then read as the same.
#![allow(
    clippy::missing_panics_doc,
    reason = "a panic is how a target tells its fuzzer"
)]

mod guards;
mod redraws;
mod strangers;

use core::fmt::Display;
use core::str::FromStr;

pub use guards::{guard_client, guard_desktop};
pub use redraws::redraw;
pub use strangers::{certificates, hello};
use telerelay_wire::frame::{FrameError, Layer, Reader};
use telerelay_wire::ids::{AttemptId, ComputerId, NodeName};
use telerelay_wire::inner::{self, Inner};
use telerelay_wire::outer::{self, Outer};
use telerelay_wire::record::{self, Record, RecordError};

/// A surface: the name of its folder in corpus/ and its entry point.
pub type Target = (&'static str, fn(&[u8]));

/// All surfaces.
pub const TARGETS: &[Target] = &[
    ("certificates", certificates),
    ("frames", frames),
    ("guard_client", guard_client),
    ("guard_desktop", guard_desktop),
    ("hello", hello),
    ("ids", ids),
    ("records", records),
    ("redraw", redraw),
    ("session", session),
];

/// What an endpoint or a node reads from the other (PROTOCOL.md §4).
pub fn frames(input: &[u8]) {
    check::<Outer>(input, |frame| {
        let mut bytes = Vec::new();
        outer::Frame::encode(frame, &mut bytes).map(|()| bytes)
    });
    if let Some(seen) = outer::path_view(input) {
        let mut reader = outer::Reader::new();
        reader.push(input);
        let frame = outer::Frame::Path(outer::Path { bytes: seen });
        assert_eq!(
            reader.next(),
            Ok(Some(frame)),
            "the hot path saw another frame"
        );
    }
}

/// What agent and client read from each other inside inner TLS (PROTOCOL.md §8).
pub fn session(input: &[u8]) {
    check::<Inner>(input, |frame| {
        let mut bytes = Vec::new();
        inner::Frame::encode(frame, &mut bytes).map(|()| bytes)
    });
}

/// What comes from a socket before TLS sees it (PROTOCOL.md §1.2).
pub fn records(input: &[u8]) {
    let (mut whole, mut offset) = (Vec::new(), 0);
    let end = loop {
        match record::scan(input, offset) {
            Ok(Some(found)) => {
                assert_eq!(
                    found.range.start, offset,
                    "a record begins where the last one ended"
                );
                offset = found.range.end;
                whole.push(found);
            }
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    assert_eq!(
        scan_by_byte(input),
        (whole, end),
        "records depend on how they come"
    );
}

fn scan_by_byte(input: &[u8]) -> (Vec<Record>, Result<(), RecordError>) {
    let (mut records, mut offset) = (Vec::new(), 0);
    for filled in 0..=input.len() {
        match record::scan(&input[..filled], offset) {
            Ok(Some(found)) => {
                offset = found.range.end;
                records.push(found);
            }
            Ok(None) => {}
            Err(error) => return (records, Err(error)),
        }
    }
    (records, Ok(()))
}

/// What people type and programs are configured with (PROTOCOL.md §2.1, §2.2, §2.4).
pub fn ids(input: &[u8]) {
    if let Ok(text) = core::str::from_utf8(input) {
        shown_again::<ComputerId>(text);
        shown_again::<AttemptId>(text);
        shown_again::<NodeName>(text);
    }
}

fn shown_again<T: FromStr + Display>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        let shown = value.to_string();
        let again = shown.parse::<T>().map(|value| value.to_string());
        assert_eq!(again.ok(), Some(shown), "what is shown is read as another");
    }
}

/// Bytes of the frames that were read, in the form in which this version writes them, and what ended the stream.
type Said = (Vec<Vec<u8>>, Result<usize, FrameError>);

fn check<L: Layer>(input: &[u8], encode: impl Fn(&L::Frame<'_>) -> Result<Vec<u8>, FrameError>) {
    let whole = read::<L>(input, input.len(), &encode);
    for size in [1, 7] {
        assert_eq!(
            read::<L>(input, size, &encode),
            whole,
            "frames depend on how they come"
        );
    }
    let again = read::<L>(&whole.0.concat(), usize::MAX, &encode);
    assert_eq!(
        again,
        (whole.0, Ok(0)),
        "a frame that was read is written as another"
    );
}

fn read<L: Layer>(
    input: &[u8],
    size: usize,
    encode: &impl Fn(&L::Frame<'_>) -> Result<Vec<u8>, FrameError>,
) -> Said {
    let mut reader = Reader::<L>::new();
    let mut frames = Vec::new();
    for piece in input.chunks(size.max(1)) {
        reader.push(piece);
        loop {
            match reader.next() {
                Ok(Some(frame)) => {
                    frames.push(encode(&frame).expect("what was read fits into its type"));
                }
                Ok(None) => break,
                Err(error) => return (frames, Err(error)),
            }
        }
    }
    let held = reader.held();
    (frames, Ok(held))
}

/// Gives the files that the command line names to a surface: how a find of the fuzzer is looked at on stable.
pub fn replay(target: fn(&[u8])) -> std::io::Result<()> {
    for path in std::env::args_os().skip(1) {
        target(&std::fs::read(path)?);
    }
    Ok(())
}
