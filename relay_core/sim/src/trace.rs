//! What happened in a run: a hash of all of it, and lines to read where somebody wants to.
use telerelay_wire::Moment;

use crate::agenda::Who;

/// The run so far.
#[derive(Debug)]
pub(crate) struct Trace {
    hash: u64,
    lines: Option<Vec<String>>,
}

impl Trace {
    pub(crate) fn new(keeps_lines: bool) -> Self {
        Self {
            hash: 0xcbf2_9ce4_8422_2325,
            lines: keeps_lines.then(Vec::new),
        }
    }

    /// Notes that something happened. The numbers go into the hash, the details into the line.
    pub(crate) fn note(
        &mut self,
        now: Moment,
        who: Who,
        what: &'static str,
        numbers: [u64; 2],
        detail: impl FnOnce() -> String,
    ) {
        let (kind, number) = match who {
            Who::Node(number) => ("node", number),
            Who::Agent(number) => ("agent", number),
            Who::Client(number) => ("client", number),
        };
        for value in [now.0, number as u64, numbers[0], numbers[1]] {
            self.fold(value);
        }
        for byte in kind.bytes().chain(what.bytes()) {
            self.fold(byte.into());
        }
        if let Some(lines) = &mut self.lines {
            lines.push(format!("{now} {kind} {number}: {what} {}", detail()));
        }
    }

    /// FNV-1a, a word at a time.
    fn fold(&mut self, value: u64) {
        self.hash = (self.hash ^ value)
            .wrapping_mul(0x0000_0100_0000_01b3)
            .rotate_left(23);
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) fn into_lines(self) -> Vec<String> {
        self.lines.unwrap_or_default()
    }
}
