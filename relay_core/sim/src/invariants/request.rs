//! The rules of what a client asks for (PROTOCOL.md §2.2, §5.5, §8.4).
use telerelay_wire::ids::{AttemptId, Resume, SessionId};

use super::{Verdict, hold};

/// §2.2: a path that was lost is asked for by an attempt of its own.
pub(crate) fn an_attempt_gets_one_path(attempt: AttemptId, has_got_one: bool) -> Verdict {
    hold(("an_attempt_gets_one_path", "§2.2"), !has_got_one, || {
        format!("CONNECT for {attempt}, which had its path")
    })
}

/// §5.5: while a session lives, its client asks for paths of that session.
pub(crate) fn a_session_that_lives_is_resumed(
    lives: Option<SessionId>,
    asked: Option<Resume>,
) -> Verdict {
    let resumes = lives.is_none_or(|session| asked.is_some_and(|asked| asked.session == session));
    hold(
        ("a_session_that_lives_is_resumed", "§5.5"),
        resumes,
        || format!("CONNECT({asked:?}) beside {lives:?}"),
    )
}

/// §8.4: the client numbers the paths of a session, and gives no number twice.
pub(crate) fn a_generation_belongs_to_one_attempt(
    generation: u32,
    first: AttemptId,
    now: AttemptId,
) -> Verdict {
    hold(
        ("a_generation_belongs_to_one_attempt", "§8.4"),
        first == now,
        || format!("{now} asks for generation {generation}, as {first} did"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::each_is_kept_and_broken;
    use super::*;

    #[test]
    fn every_rule_can_be_kept_and_broken() {
        let [one, other] = [1, 2].map(|byte| AttemptId([byte; 5]));
        let [lives, gone] = [1, 2].map(|byte| SessionId([byte; 16]));
        let resume = |session| {
            Some(Resume {
                session,
                generation: 1,
            })
        };
        each_is_kept_and_broken([
            [false, true].map(|has| an_attempt_gets_one_path(one, has)),
            [resume(lives), None].map(|asked| a_session_that_lives_is_resumed(Some(lives), asked)),
            [lives, gone].map(|of| a_session_that_lives_is_resumed(Some(lives), resume(of))),
            [one, other].map(|now| a_generation_belongs_to_one_attempt(1, one, now)),
        ]);
    }
}
