//! Somebody at a client who asks for a session that is not his (PROTOCOL.md §8.4): he answers what he is asked, and proves
//! nothing.
use std::ops::Range;

use telerelay_outer::client::Client;
use telerelay_wire::Entropy;
use telerelay_wire::ids::{ComputerId, Proof, Resume, SessionId};
use telerelay_wire::inner::{AuthAnswer, Frame, Reader, ResumeAsk};

use super::{ClientHost, ClientLeg, PathOf};
use crate::scene::{EPOCH, Scene, computer};

/// Higher than any that a client of a run comes to.
const GENERATION: u32 = 1_000;

impl ClientHost {
    /// The session that lives here, and at which computer.
    pub(crate) fn session_at(&self) -> Option<(SessionId, ComputerId)> {
        let session = self.living_desk()?.session.id()?;
        Some((session, computer(self.plan.computer)))
    }

    /// Asks for somebody's session.
    pub(crate) fn forge(&mut self, session: SessionId, at: ComputerId, scene: &mut Scene) {
        if self.is_dead {
            return;
        }
        scene.note(self.who(), "forges", [0; 2], || format!("{session:?}"));
        let mut config = self.config(scene);
        config.computer = at;
        let resume = Resume {
            session,
            generation: GENERATION,
        };
        let machine = Client::resuming(config, resume, None, EPOCH, scene.now, &mut scene.dice);
        self.add(machine, Some(Reader::new()), scene);
    }

    /// What the agent says to the forger.
    pub(super) fn forgers_turn(&mut self, key: ClientLeg, said: Range<usize>, scene: &mut Scene) {
        let request = &mut self.requests[key.request];
        let (Some(frames), Some(of)) = (&mut request.forged, request.path) else {
            return;
        };
        let Some((leg, path)) = self.legs.path(key) else {
            return;
        };
        frames.push(path.plaintext(said));
        while let Ok(Some(frame)) = frames.next() {
            let answer = match frame {
                Frame::AuthAsk(ask) => Frame::from(AuthAnswer {
                    method: ask.method,
                    answer: Vec::new().try_into().expect("empty"),
                }),
                Frame::AuthDone(_) => Frame::from(unproven(of, scene)),
                _ => continue,
            };
            let mut bytes = Vec::new();
            answer.encode(&mut bytes).expect("it fits");
            path.send(leg, &[&bytes]);
        }
        self.legs.flush(key, scene);
    }
}

/// RESUME by somebody who can only guess.
fn unproven(of: PathOf, scene: &mut Scene) -> ResumeAsk {
    let Resume {
        session,
        generation,
    } = of.resume.expect("a forger asks for a session");
    let mut proof = [0; 32];
    scene.dice.fill(&mut proof);
    ResumeAsk {
        session,
        generation,
        received: 0,
        proof: Proof(proof),
        attempt: of.attempt,
        path: of.path,
    }
}
