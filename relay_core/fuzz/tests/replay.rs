//! What the fuzzer found and every vector, given to every surface on the stable compiler.
use std::fs;
use std::path::{Path, PathBuf};

use proptest::collection::vec;
use proptest::prelude::{any, prop};
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;
use telerelay_fuzz::TARGETS;

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    paths
}

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn finds_of_the_fuzzer_are_accepted() {
    for (name, target) in TARGETS {
        let corpus = files(&here("corpus").join(name));
        assert!(!corpus.is_empty(), "{name} has a corpus");
        for path in corpus {
            target(&fs::read(&path).expect("a file of the corpus"));
        }
    }
}

#[test]
fn every_corpus_has_a_target() {
    let folders: Vec<PathBuf> = files(&here("corpus"));
    let names: Vec<PathBuf> = TARGETS
        .iter()
        .map(|(name, _)| here("corpus").join(name))
        .collect();
    assert_eq!(folders, names);
    let programs: Vec<PathBuf> = TARGETS
        .iter()
        .map(|(name, _)| here("src/bin").join(name).with_extension("rs"))
        .collect();
    assert_eq!(files(&here("src/bin")), programs);
}

/// One byte is changed, taken away or put in.
#[derive(Clone, Copy, Debug)]
enum Edit {
    Set,
    Remove,
    Insert,
}

#[test]
fn finds_that_were_changed_are_accepted() {
    for (name, target) in TARGETS {
        let corpus: Vec<Vec<u8>> = files(&here("corpus").join(name))
            .iter()
            .map(|path| fs::read(path).expect("a file of the corpus"))
            .collect();
        let kinds = prop::sample::select(vec![Edit::Set, Edit::Remove, Edit::Insert]);
        let edits = vec((kinds, any::<prop::sample::Index>(), any::<u8>()), 0..8);
        let changed = (prop::sample::select(corpus), edits);
        let mut runner = TestRunner::new_with_rng(
            Config::with_cases(1_000),
            prop::test_runner::TestRng::deterministic_rng(prop::test_runner::RngAlgorithm::ChaCha),
        );
        let outcome = runner.run(&changed, |(mut bytes, edits)| {
            for (edit, place, byte) in edits {
                let at = place.index(bytes.len() + 1);
                match edit {
                    Edit::Set if at < bytes.len() => bytes[at] = byte,
                    Edit::Remove if at < bytes.len() => drop(bytes.remove(at)),
                    _ => bytes.insert(at, byte),
                }
            }
            target(&bytes);
            Ok(())
        });
        outcome.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn vectors_are_accepted_by_every_surface() {
    let mut given = 0;
    for folder in ["outer", "inner", "records"] {
        for path in files(&here("../spec/vectors").join(folder)) {
            let text = fs::read_to_string(&path).expect("a file of vectors");
            let content: Value = serde_json::from_str(&text).expect("JSON");
            for vector in content["vectors"].as_array().expect("vectors") {
                let bytes = bytes(vector["hex"].as_str().expect("digits"));
                for (_, target) in TARGETS {
                    target(&bytes);
                }
                given += 1;
            }
        }
    }
    assert!(given > 100, "{given} vectors");
}

fn bytes(digits: &str) -> Vec<u8> {
    let pairs = digits
        .as_bytes()
        .chunks(2)
        .map(|pair| std::str::from_utf8(pair).expect("ASCII"));
    pairs
        .map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal digits"))
        .collect()
}
