//! A refusal as ERROR says it: the code, and when another try makes sense (PROTOCOL.md §4, §13).
use core::time::Duration;

use telerelay_wire::code::Retry;
use telerelay_wire::ids::AttemptId;
use telerelay_wire::outer::Error;
use telerelay_wire::{Code, Reason, limits};

/// `retry` of a code whose class is *after*, where nothing says more: everything that an attempt can wait for is
/// decided by then.
const RETRY_AFTER: Duration = limits::CONNECT;

/// Why somebody is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The code that the other end shows.
    pub code: Reason,
    /// Seconds until another try makes sense; `None`: do not, 0: now.
    pub retry: Option<u32>,
    /// How many are before it, where it was one too many.
    pub place: Option<u32>,
}

impl Refusal {
    /// A refusal with a retry of its own, in seconds.
    pub fn after(code: Code, seconds: u32) -> Self {
        Self {
            code: code.into(),
            retry: Some(seconds),
            place: None,
        }
    }

    /// One too many: so many are before it, its turn comes in so many seconds.
    pub(crate) fn in_line(code: Code, seconds: u32, place: u32) -> Self {
        Self {
            place: Some(place),
            ..Self::after(code, seconds)
        }
    }

    /// The frame.
    pub(crate) fn into_frame(self, attempt: Option<AttemptId>, server_time: u64) -> Error {
        Error {
            code: self.code,
            retry: self.retry,
            server_time,
            attempt,
            supported: None,
            place: self.place,
        }
    }
}

impl From<Code> for Refusal {
    fn from(code: Code) -> Self {
        Reason::from(code).into()
    }
}

impl From<Reason> for Refusal {
    /// `retry` by the class of the code; a code of another version is not tried again.
    fn from(code: Reason) -> Self {
        let retry = code.code().and_then(|known| match (known, known.retry()) {
            (_, Retry::Never) => None,
            (_, Retry::Now) => Some(0),
            (Code::IdInUse, Retry::After) => Some(seconds(limits::ID_IN_USE_RETRY)),
            (_, Retry::After) => Some(seconds(RETRY_AFTER)),
        });
        Self {
            code,
            retry,
            place: None,
        }
    }
}

/// Whole seconds, as they travel.
pub(crate) fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

/// The same, rounded up: not before the time has come.
pub(crate) fn seconds_up(duration: Duration) -> u32 {
    seconds(duration + Duration::from_millis(999))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_follows_the_class_of_the_code() {
        assert_eq!(Refusal::from(Code::Denied).retry, None);
        assert_eq!(Refusal::from(Code::SessionGone).retry, Some(0));
        assert_eq!(Refusal::from(Code::Absent).retry, Some(15));
        assert_eq!(Refusal::from(Code::IdInUse).retry, Some(300));
        assert_eq!(
            Refusal::from("COFFEE_BREAK".parse::<Reason>().unwrap()).retry,
            None
        );
    }
}
