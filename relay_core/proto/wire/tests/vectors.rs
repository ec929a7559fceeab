//! The vectors of `relay_core/spec/vectors`, which an independent encoder wrote: decode = fields, encode = bytes, whole
//! and byte by byte; and no byte of a frame can be another without the frame being refused or another.
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Value, json};
use telerelay_wire::frame::{FrameError, Layer, Reader};
use telerelay_wire::ids::{AttemptId, ComputerId, Mistyped, NodeName};
use telerelay_wire::inner::{self, Inner};
use telerelay_wire::outer::{self, Outer};
use telerelay_wire::record::{self, RecordError};

/// What the tests need of a layer beyond reading it.
trait Checked: Layer {
    const FOLDER: &'static str;
    fn named(frame: &Self::Frame<'_>) -> Value;
    fn encode(frame: &Self::Frame<'_>) -> Result<Vec<u8>, FrameError>;
}

macro_rules! checked {
    ($layer:ident, $module:ident, $folder:literal) => {
        impl Checked for $layer {
            const FOLDER: &'static str = $folder;

            fn named(frame: &$module::Frame<'_>) -> Value {
                to_json(frame)
            }

            fn encode(frame: &$module::Frame<'_>) -> Result<Vec<u8>, FrameError> {
                let mut bytes = Vec::new();
                frame.encode(&mut bytes).map(|()| bytes)
            }
        }
    };
}
checked!(Outer, outer, "outer");
checked!(Inner, inner, "inner");

fn to_json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).expect("frames are JSON")
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../spec/vectors")
        .join(name)
}

fn files(name: &str) -> Vec<Value> {
    let entries = fs::read_dir(folder(name)).expect("the folder of vectors");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    paths.iter().map(|path| file(path)).collect()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test reads the vectors; the crate itself reads nothing"
)]
fn file(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).expect("a file of vectors")).expect("JSON")
}

/// The vectors of one file, each with its name and its bytes.
fn vectors(content: &Value) -> impl Iterator<Item = (String, Vec<u8>, &Value)> {
    list(&content["vectors"])
        .iter()
        .map(|vector| (text(&vector["name"]), bytes(&vector["hex"]), vector))
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().expect("a list")
}

fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}

fn bytes(value: &Value) -> Vec<u8> {
    let digits = text(value);
    let pairs = digits
        .as_bytes()
        .chunks(2)
        .map(|pair| std::str::from_utf8(pair).expect("ASCII"));
    pairs
        .map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal digits"))
        .collect()
}

/// All frames of a stream that comes in pieces of `size` bytes, and how many bytes are held at its end.
fn read<L: Checked>(stream: &[u8], size: usize) -> Result<(Vec<Value>, usize), FrameError> {
    let mut reader = Reader::<L>::new();
    let mut frames = Vec::new();
    for piece in stream.chunks(size.max(1)) {
        reader.push(piece);
        while let Some(frame) = reader.next()? {
            frames.push(L::named(&frame));
        }
    }
    Ok((frames, reader.held()))
}

/// Every vector of whole frames that a sender of this version makes.
fn each_frame<L: Checked>(mut check: impl FnMut(&str, &Value, &[u8])) {
    let content = files(L::FOLDER);
    let typed: Vec<&Value> = content
        .iter()
        .filter(|content| content.get("frame").is_some())
        .collect();
    let mut names: Vec<String> = typed
        .iter()
        .map(|content| text(&content["frame"]))
        .collect();
    let mut known: Vec<&str> = L::TYPES.iter().map(|row| row.name).collect();
    names.sort_unstable();
    known.sort_unstable();
    assert_eq!(names, known, "every type has its file");
    for content in typed {
        assert!(
            vectors(content).any(|(name, ..)| name == "minimum"),
            "{}",
            content["frame"]
        );
        for (name, bytes, vector) in vectors(content) {
            let frame = json!({"frame": content["frame"], "fields": vector["fields"]});
            check(&format!("{} {name}", content["frame"]), &frame, &bytes);
        }
    }
}

fn frames_are_read_and_written<L: Checked>() {
    each_frame::<L>(|name, fields, bytes| {
        for size in [bytes.len(), 1, 3] {
            assert_eq!(
                read::<L>(bytes, size),
                Ok((vec![fields.clone()], 0)),
                "{name} in pieces of {size}"
            );
        }
        let mut reader = Reader::<L>::new();
        reader.push(bytes);
        let written = reader
            .next()
            .map(|frame| frame.map(|frame| L::encode(&frame)));
        assert_eq!(written, Ok(Some(Ok(bytes.to_vec()))), "{name}");
        assert!(reader.is_between_frames(), "{name}");
    });
}

#[test]
fn outer_frames_are_read_and_written() {
    frames_are_read_and_written::<Outer>();
}

#[test]
fn inner_frames_are_read_and_written() {
    frames_are_read_and_written::<Inner>();
}

/// Each bit of each byte. Only the critical flag of a known type may be another without a difference (§4).
fn no_flipped_bit_passes<L: Checked>() {
    const FLAGS: usize = 3;
    each_frame::<L>(|name, fields, bytes| {
        for (position, bit) in
            (0..bytes.len()).flat_map(|position| (0..8).map(move |bit| (position, bit)))
        {
            let mut flipped = bytes.to_vec();
            flipped[position] ^= 1 << bit;
            let same = read::<L>(&flipped, bytes.len()) == Ok((vec![fields.clone()], 0));
            assert_eq!(
                same,
                (position, bit) == (FLAGS, 0),
                "{name}: bit {bit} of byte {position}"
            );
        }
    });
}

#[test]
fn no_flipped_bit_of_an_outer_frame_passes() {
    no_flipped_bit_passes::<Outer>();
}

#[test]
fn no_flipped_bit_of_an_inner_frame_passes() {
    no_flipped_bit_passes::<Inner>();
}

fn broken_frames_are_refused<L: Checked>() -> Vec<String> {
    let mut errors = Vec::new();
    let content = file(&folder(L::FOLDER).join("refused.json"));
    for (name, bytes, vector) in vectors(&content) {
        for size in [bytes.len(), 1, 3] {
            let error = read::<L>(&bytes, size).expect_err(&name);
            assert_eq!(
                error.name(),
                text(&vector["error"]),
                "{name} in pieces of {size}"
            );
            assert_eq!(error.code().as_str(), "BAD_FRAME");
        }
        errors.push(text(&vector["error"]));
    }
    errors
}

#[test]
fn every_way_to_break_a_frame_is_refused_in_both_layers() {
    for mut errors in [
        broken_frames_are_refused::<Outer>(),
        broken_frames_are_refused::<Inner>(),
    ] {
        errors.sort_unstable();
        errors.dedup();
        assert_eq!(errors.len(), 19, "each FrameError has a vector: {errors:?}");
    }
}

fn unusual_frames_are_read<L: Checked>() {
    let content = file(&folder(L::FOLDER).join("tolerated.json"));
    for (name, bytes, vector) in vectors(&content) {
        let held = vector["left"]
            .as_u64()
            .and_then(|left| usize::try_from(left).ok())
            .expect("left");
        let frames: Vec<Value> = list(&vector["frames"]).clone();
        for size in [bytes.len(), 1, 3] {
            assert_eq!(
                read::<L>(&bytes, size),
                Ok((frames.clone(), held)),
                "{name} in pieces of {size}"
            );
        }
    }
}

#[test]
fn what_a_later_version_may_send_is_read() {
    unusual_frames_are_read::<Outer>();
    unusual_frames_are_read::<Inner>();
}

#[test]
fn a_broken_stream_stays_broken() {
    const SWITCH: &[u8] = &[0, 1, 0x31, 1, 0xa0];
    // A header that breaks the rules, and a body that does.
    for broken in [&[0, 1, 0x31, 2][..], &[0, 1, 0x25, 1, 0xa0]] {
        let mut reader = outer::Reader::new();
        reader.push(broken);
        reader.push(SWITCH);
        let error = reader.next().expect_err("broken");
        reader.push(SWITCH);
        assert_eq!(reader.next(), Err(error));
        assert_eq!(reader.next(), Err(error));
    }
}

#[test]
fn the_hot_paths_agree_with_the_codec() {
    let content = file(&folder("outer").join("path.json"));
    for (name, bytes, vector) in vectors(&content) {
        let length = u16::try_from(bytes.len() - 4).expect("short");
        assert_eq!(outer::path_header(length), bytes[..4], "{name}");
        assert_eq!(outer::path_view(&bytes), Some(&bytes[4..]), "{name}");
        assert_eq!(
            outer::path_view(&bytes[..bytes.len() - 1]),
            None,
            "{name}, cut"
        );
        assert_eq!(
            outer::path_view(&[&bytes[..], &[0]].concat()),
            None,
            "{name}, followed"
        );
        assert_eq!(self::bytes(&vector["fields"]["bytes"]), bytes[4..]);
    }
    assert_eq!(outer::path_view(&[0, 0, 0x30, 1]), None);
    assert_eq!(outer::path_view(&[0, 1, 0x31, 1, 0xa0]), None);
    let content = file(&folder("inner").join("data.json"));
    for (name, bytes, vector) in vectors(&content) {
        let length = u16::try_from(bytes.len() - inner::DATA_HEADER).expect("short");
        let offset = vector["fields"]["offset"].as_u64().expect("an offset");
        assert_eq!(
            inner::data_header(offset, length),
            bytes[..inner::DATA_HEADER],
            "{name}"
        );
    }
}

fn mistake(vector: &Value, expected: usize) -> Mistyped {
    let number = |key: &str| {
        vector[key]
            .as_u64()
            .and_then(|number| usize::try_from(number).ok())
            .expect("a number")
    };
    match text(&vector["error"]).as_str() {
        "foreign" => {
            let character = text(&vector["character"])
                .chars()
                .next()
                .expect("a character");
            Mistyped::Foreign {
                character,
                position: number("position"),
            }
        }
        "length" => Mistyped::Length {
            found: number("found"),
            expected,
        },
        "check" => Mistyped::Check,
        other => panic!("{other} is no mistake"),
    }
}

#[test]
fn computer_ids_are_shown_corrected_and_refused() {
    let content = file(&folder("ids").join("computer.json"));
    for vector in list(&content["shown"]) {
        let id = ComputerId(bytes(&vector["bytes"]).try_into().expect("10 bytes"));
        assert_eq!(id.to_string(), text(&vector["text"]));
        assert_eq!(text(&vector["text"]).parse(), Ok(id));
    }
    for vector in list(&content["corrected"]) {
        let id = ComputerId(bytes(&vector["bytes"]).try_into().expect("10 bytes"));
        assert_eq!(text(&vector["typed"]).parse(), Ok(id), "{}", vector["name"]);
    }
    for vector in list(&content["refused"]) {
        let refused = text(&vector["typed"]).parse::<ComputerId>();
        assert_eq!(refused, Err(mistake(vector, 17)), "{}", vector["name"]);
    }
}

#[test]
fn attempt_ids_are_shown_corrected_and_refused() {
    let content = file(&folder("ids").join("attempt.json"));
    for vector in list(&content["shown"]) {
        let id = AttemptId(bytes(&vector["bytes"]).try_into().expect("5 bytes"));
        assert_eq!(id.to_string(), text(&vector["text"]));
        assert_eq!(text(&vector["text"]).parse(), Ok(id));
    }
    for vector in list(&content["corrected"]) {
        let id = AttemptId(bytes(&vector["bytes"]).try_into().expect("5 bytes"));
        assert_eq!(text(&vector["typed"]).parse(), Ok(id), "{}", vector["name"]);
    }
    for vector in list(&content["refused"]) {
        let refused = text(&vector["typed"]).parse::<AttemptId>();
        assert_eq!(refused, Err(mistake(vector, 8)), "{}", vector["name"]);
    }
}

#[test]
fn node_names_are_dns_labels() {
    let content = file(&folder("ids").join("node_name.json"));
    for name in list(&content["accepted"]) {
        assert_eq!(
            text(name)
                .parse::<NodeName>()
                .map(|name| name.to_string())
                .ok(),
            Some(text(name))
        );
    }
    for name in list(&content["refused"]) {
        assert!(text(name).parse::<NodeName>().is_err(), "{name}");
    }
}

/// All whole records of a buffer that grows by one byte at a time, as a socket would fill it.
fn scan(stream: &[u8]) -> Result<Vec<Value>, RecordError> {
    let (mut records, mut offset) = (Vec::new(), 0);
    for filled in 0..=stream.len() {
        while let Some(found) = record::scan(&stream[..filled], offset)? {
            let content = match found.content {
                record::ContentType::ChangeCipherSpec => "change_cipher_spec",
                record::ContentType::Alert => "alert",
                record::ContentType::Handshake => "handshake",
                record::ContentType::ApplicationData => "application_data",
            };
            records.push(
                json!({"content": content, "start": found.range.start, "end": found.range.end}),
            );
            assert_eq!(found.range.start, offset);
            assert_eq!(
                found.range.end, filled,
                "a record is there with its last byte"
            );
            offset = found.range.end;
        }
    }
    Ok(records)
}

#[test]
fn records_are_cut_exactly() {
    for (name, bytes, vector) in vectors(&file(&folder("records").join("records.json"))) {
        match scan(&bytes) {
            Ok(records) => assert_eq!(Value::from(records), vector["records"], "{name}"),
            Err(error) => assert_eq!(error.name(), text(&vector["error"]), "{name}"),
        }
    }
    assert_eq!(
        record::scan(&[23, 3, 3], 9),
        Ok(None),
        "an offset behind the end"
    );
}

#[test]
fn a_longest_record_is_whole_with_its_last_byte() {
    let mut buffer = vec![0; record::MAXIMUM];
    buffer[..5].copy_from_slice(&[23, 3, 3, 0x41, 0x00]);
    let whole = record::scan(&buffer, 0).expect("good").expect("whole");
    assert_eq!(whole.range, 0..16_645);
    assert_eq!(record::scan(&buffer[..16_644], 0), Ok(None));
}
