//! What one end of a session has asked the other end for while a path opens, and since when it waits.
use std::collections::BTreeMap;
use std::time::Duration;

use telerelay_session::PathKey;
use telerelay_wire::inner::Frame;
use telerelay_wire::{Moment, limits};

use crate::invariants::{self, Verdict};

/// One wait a path (PROTOCOL.md §8.1).
#[derive(Debug, Default)]
pub(crate) struct Waits(BTreeMap<PathKey, Wait>);

#[derive(Debug)]
struct Wait {
    what: &'static str,
    since: Moment,
    most: Duration,
}

impl Waits {
    /// A frame leaves on a path: it may ask for another one, or be what the other end waited for.
    pub(crate) fn says(&mut self, path: PathKey, frame: &Frame<'_>, now: Moment) {
        match frame {
            Frame::AuthDone(_) => self.begin(path, "OPEN or RESUME", limits::OPEN, now),
            Frame::Notice(_) => {
                if let Some(wait) = self.0.get_mut(&path) {
                    wait.most += limits::NOTICE;
                }
            }
            Frame::Open(_) | Frame::Confirm(_) => self.begin(path, "OPENED", limits::OPEN, now),
            Frame::ResumeAsk(_) => self.begin(path, "RESUMED", limits::OPEN, now),
            Frame::Opened(_) => self.end(path),
            _ => {}
        }
    }

    pub(crate) fn begin(
        &mut self,
        path: PathKey,
        what: &'static str,
        most: Duration,
        since: Moment,
    ) {
        self.0.insert(path, Wait { what, since, most });
    }

    /// What was waited for has come, a person is asked, or the path is gone.
    pub(crate) fn end(&mut self, path: PathKey) {
        self.0.remove(&path);
    }

    /// The session is over.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn judge(&self, now: Moment) -> Verdict {
        self.0.values().try_for_each(|wait| {
            invariants::nobody_waits_too_long(wait.what, wait.since, now, wait.most)
        })
    }
}
