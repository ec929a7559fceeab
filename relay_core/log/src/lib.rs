//! The core's log lines, on standard error in the form of Python's own (`telerelay_endpoint.log_lines`): `ts`, `level`,
//! `event`, then the event's fields. What a peer may have written is escaped and cut.
use std::fmt::{self, Write as _};

use telerelay_wire::limits::LOG_TEXT;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Send the log lines of this process from `level` on to standard error; later calls change nothing.
pub fn to_stderr(level: Level, json: bool) {
    let lines = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .event_format(Lines { json });
    // A second call finds a subscriber in place, and that one stays.
    let _placed = lines.try_init();
}

/// One event, one line.
struct Lines {
    json: bool,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let level = word(*event.metadata().level());
        if self.json {
            writer.write_str("{\"ts\":\"")?;
            SystemTime.format_time(&mut writer)?;
            write!(writer, "\",\"level\":\"{level}\",\"event\":")?;
            writer.write_str(&quoted(&fields.event))?;
            for (name, value) in &fields.rest {
                write!(writer, ",\"{name}\":{}", value.json())?;
            }
            writer.write_str("}\n")
        } else {
            SystemTime.format_time(&mut writer)?;
            write!(writer, " {level} {}", escaped(&fields.event))?;
            for (name, value) in &fields.rest {
                write!(writer, " {name}={}", value.text())?;
            }
            writer.write_char('\n')
        }
    }
}

/// Python's names.
fn word(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warning",
        Level::INFO => "info",
        _ => "debug",
    }
}

/// What an event says, in its order.
#[derive(Default)]
struct Fields {
    event: String,
    rest: Vec<(&'static str, Value)>,
}

enum Value {
    Text(String),
    /// A number, true or false.
    Bare(String),
}

impl Value {
    fn json(&self) -> String {
        match self {
            Self::Text(text) => quoted(text),
            Self::Bare(word) => word.clone(),
        }
    }

    /// Quoted only where it could be taken for more than one word.
    fn text(&self) -> String {
        match self {
            Self::Text(text) if !is_word(text) => quoted(text),
            Self::Text(word) | Self::Bare(word) => word.clone(),
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.event = cut(value);
        } else {
            self.rest.push((field.name(), Value::Text(cut(value))));
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.rest
            .push((field.name(), Value::Bare(value.to_string())));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.rest
            .push((field.name(), Value::Bare(value.to_string())));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.rest
            .push((field.name(), Value::Bare(value.to_string())));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

/// The first `log_text` characters (PROTOCOL.md §12).
fn cut(text: &str) -> String {
    match text.char_indices().nth(LOG_TEXT) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._:/+".contains(&byte))
}

/// A JSON string.
fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text))
}

/// The inside of a JSON string; what a terminal would obey or hide is escaped too.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' | '\\' => escaped.extend(['\\', character]),
            '\'' => escaped.push('\''),
            _ if character.escape_debug().len() == 1 => escaped.push(character),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    // Writing to a String cannot fail.
                    let _written = write!(escaped, "\\u{unit:04x}");
                }
            }
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex, PoisonError};

    use super::Lines;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            written.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What follows the time in the line of a hostile event.
    fn line(json: bool) -> String {
        let written = Written::default();
        let to = written.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || to.clone())
            .event_format(Lines { json })
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            let program = format!("x\n\u{1b}[2J\u{202e}\"{}", "y".repeat(300));
            tracing::warn!(attempt = "7KQ2-M9XB", count = 3, %program, "asked twice");
        });
        let bytes = written.0.lock().unwrap_or_else(PoisonError::into_inner);
        let line = String::from_utf8(bytes.clone()).expect("UTF-8");
        line.split_once('Z').expect("a time").1.to_owned()
    }

    #[test]
    fn a_line_has_the_shared_keys_and_a_hostile_text_stays_in_its_place() {
        let cut = "y".repeat(256 - 8);
        let program = format!(r#""x\u000a\u001b[2J\u202e\"{cut}…""#);
        assert_eq!(
            line(true),
            format!(
                r#"","level":"warning","event":"asked twice","attempt":"7KQ2-M9XB","count":3,"program":{program}}}"#
            ) + "\n"
        );
        assert_eq!(
            line(false),
            format!(" warning asked twice attempt=7KQ2-M9XB count=3 program={program}\n")
        );
    }
}
