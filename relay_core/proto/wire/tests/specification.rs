//! The code, `relay_core/spec` and docs/PROTOCOL.md say the same: codes, limits, tables of frames, CDDL.
use telerelay_wire::code::Code;
use telerelay_wire::frame::{FrameType, Layer};
use telerelay_wire::inner::Inner;
use telerelay_wire::limits;
use telerelay_wire::outer::Outer;

const PROTOCOL: &str = include_str!("../../../../docs/PROTOCOL.md");
const ERRORS: &str = include_str!("../../../spec/errors.toml");
const LIMITS: &str = include_str!("../../../spec/limits.toml");
const CDDL: &str = include_str!("../../../spec/frames.cddl");

/// A section of PROTOCOL.md, from its heading to the next of the same rank.
fn section(heading: &str) -> &'static str {
    let start = PROTOCOL
        .find(&format!("\n{heading}"))
        .expect("the section is there")
        + 1;
    let rest = &PROTOCOL[start..];
    let end = rest[1..].find("\n## ").map_or(rest.len(), |end| end + 1);
    &rest[..end]
}

/// The cells of the first table of a section, without head and rule.
fn table(heading: &str) -> Vec<Vec<&'static str>> {
    let lines = section(heading)
        .lines()
        .skip_while(|line| !line.starts_with('|'));
    let rows = lines.take_while(|line| line.starts_with('|')).skip(2);
    rows.map(|row| {
        row.trim_matches('|')
            .split(" | ")
            .map(|cell| cell.trim().trim_matches('`'))
            .collect()
    })
    .collect()
}

/// The keys of a TOML file in the order of the file.
fn tables_in_order(text: &str) -> Vec<&str> {
    text.lines()
        .filter_map(|line| line.strip_prefix('[')?.strip_suffix(']'))
        .collect()
}

fn parsed(text: &str) -> toml::Table {
    text.parse().expect("TOML")
}

#[test]
fn the_catalogue_of_errors_is_the_enum_and_the_table() {
    let catalogue = parsed(ERRORS);
    let rows = table("## 13 Errors");
    let names: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(tables_in_order(ERRORS), names);
    assert_eq!(rows.iter().map(|row| row[0]).collect::<Vec<_>>(), names);
    for (code, row) in Code::ALL.iter().zip(rows) {
        let entry = &catalogue[code.as_str()];
        let said = [
            code.as_str(),
            code.who().as_str(),
            code.retry().as_str(),
            &code.exit().to_string(),
        ];
        assert_eq!(row[..4], said, "PROTOCOL.md");
        assert_eq!(entry["who"].as_str(), Some(said[1]), "{code}");
        assert_eq!(entry["retry"].as_str(), Some(said[2]), "{code}");
        assert_eq!(
            entry["exit"].as_integer(),
            Some(i64::from(code.exit())),
            "{code}"
        );
        assert_eq!(code.as_str().parse(), Ok(*code));
    }
}

#[test]
fn every_error_has_a_sentence_and_a_remedy_in_both_languages() {
    for (code, entry) in parsed(ERRORS) {
        let mut keys: Vec<&String> = entry.as_table().expect("a table").keys().collect();
        keys.retain(|key| *key != "awaits");
        assert_eq!(
            keys,
            ["exit", "remedy", "retry", "sentence", "who"],
            "{code}"
        );
        for part in ["sentence", "remedy"] {
            assert_eq!(
                entry[part].as_table().map(toml::Table::len),
                Some(2),
                "{code}.{part}"
            );
            let [english, japanese] =
                ["en", "ja"].map(|language| entry[part][language].as_str().expect("text"));
            assert!(
                english.is_ascii() && english.ends_with('.'),
                "{code}: {english}"
            );
            assert!(
                japanese.chars().any(is_kana_or_kanji) && japanese.ends_with('。'),
                "{code}: {japanese}"
            );
            assert_ne!(english, japanese);
            for text in [english, japanese] {
                assert!(
                    text.trim() == text && !text.contains('\n') && text.chars().count() <= 120,
                    "{code}: {text}"
                );
            }
        }
    }
}

fn is_kana_or_kanji(character: char) -> bool {
    matches!(character, '\u{3041}'..='\u{30ff}' | '\u{4e00}'..='\u{9fff}')
}

#[test]
fn the_constants_are_numbers_of_the_file_in_its_order() {
    let file = parsed(LIMITS);
    let names: Vec<&str> = limits::ALL.iter().map(|limit| limit.name).collect();
    let mut of_rust = tables_in_order(LIMITS);
    of_rust.retain(|name| names.contains(name));
    assert_eq!(names, of_rust);
    for limit in limits::ALL {
        assert_eq!(
            file[limit.name]["value"].as_integer(),
            i64::try_from(limit.value).ok(),
            "{}",
            limit.name
        );
    }
}

#[test]
fn the_tables_of_frames_are_those_of_the_protocol() {
    assert_table::<Outer>("## 4 Outer frames");
    assert_table::<Inner>("## 8 Session layer");
}

fn assert_table<L: Layer>(heading: &str) {
    let section = &section(heading)[section(heading)
        .find("| type | name |")
        .expect("the table of types")..];
    let rows = section
        .lines()
        .take_while(|line| line.starts_with('|'))
        .skip(2);
    let said: Vec<Vec<&str>> = rows
        .map(|row| {
            row.trim_matches('|')
                .split('|')
                .map(str::trim)
                .take(4)
                .collect()
        })
        .collect();
    let known: Vec<Vec<String>> = L::TYPES.iter().map(cells).collect();
    assert_eq!(said, known);
    assert!(L::TYPES.is_sorted_by(|one, two| one.kind < two.kind));
}

fn cells(row: &FrameType) -> Vec<String> {
    let maximum = row.maximum.to_string();
    let thousands = maximum.len().checked_sub(3).filter(|digits| *digits > 0);
    let grouped = thousands.map_or(maximum.clone(), |digits| {
        format!("{},{}", &maximum[..digits], &maximum[digits..])
    });
    vec![
        format!("{:#04x}", row.kind),
        row.name.to_owned(),
        u8::from(row.critical).to_string(),
        grouped,
    ]
}

#[test]
fn a_full_frame_is_a_full_record() {
    let largest = |types: &[FrameType]| types.iter().map(|row| row.maximum).max();
    // One record of outer TLS holds 2^14 bytes; a full record of inner TLS with its 22 bytes of protection is one PATH.
    assert_eq!(largest(Outer::TYPES), Some(16_384 - 4));
    assert_eq!(largest(Inner::TYPES), Some(16_380 - 22 - 4));
    let inner = Inner::TYPES.iter().all(|row| row.kind >= 0x80);
    let outer = Outer::TYPES.iter().all(|row| row.kind < 0x80);
    assert!(
        inner && outer,
        "a frame of one layer never passes for one of the other"
    );
}

#[test]
fn the_cddl_file_is_what_the_protocol_shows() {
    let rules = |text: &str| -> Vec<String> {
        let lines = text
            .lines()
            .map(str::trim_end)
            .filter(|line| !line.is_empty() && !line.starts_with(';'));
        lines.map(str::to_owned).collect()
    };
    let blocks: String = PROTOCOL
        .split("```cddl\n")
        .skip(1)
        .filter_map(|block| block.split("```").next())
        .collect();
    assert_eq!(rules(CDDL), rules(&blocks));
}
