//! What clients asked for: the attempts that had a path, who asked for which generation, which RESUME left.
use std::collections::{BTreeMap, BTreeSet};

use telerelay_wire::ids::{AttemptId, PathId, SessionId};
use telerelay_wire::inner::ResumeAsk;
use telerelay_wire::outer::Connect;

use crate::invariants::{self, Verdict};

/// All requests of all clients.
#[derive(Debug, Default)]
pub(crate) struct RequestBook {
    /// Attempts that got their path.
    paired: BTreeSet<AttemptId>,
    /// Who asked first for a generation of a session.
    generations: BTreeMap<(SessionId, u32), AttemptId>,
    /// RESUME that a session's own client said.
    resumes: BTreeSet<(SessionId, u32, PathId)>,
}

impl RequestBook {
    /// CONNECT leaves a client; `lives` is its session.
    pub(crate) fn connects(&mut self, connect: &Connect, lives: Option<SessionId>) -> Verdict {
        let attempt = connect.attempt;
        invariants::an_attempt_gets_one_path(attempt, self.paired.contains(&attempt))?;
        invariants::a_session_that_lives_is_resumed(lives, connect.resume)?;
        connect.resume.map_or(Ok(()), |resume| {
            let asked = (resume.session, resume.generation);
            let first = *self.generations.entry(asked).or_insert(attempt);
            invariants::a_generation_belongs_to_one_attempt(resume.generation, first, attempt)
        })
    }

    /// An attempt has got its path.
    pub(crate) fn paired(&mut self, attempt: AttemptId) {
        self.paired.insert(attempt);
    }

    /// A session's own client says RESUME.
    pub(crate) fn resumes(&mut self, ask: &ResumeAsk) {
        self.resumes.insert((ask.session, ask.generation, ask.path));
    }

    /// An agent lets a session go on by a path.
    pub(crate) fn resumed(&self, session: SessionId, generation: u32, path: PathId) -> Verdict {
        let has_asked = self.resumes.contains(&(session, generation, path));
        invariants::only_its_client_resumes_a_session(has_asked, generation)
    }
}
