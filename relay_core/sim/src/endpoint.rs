//! The legs of an endpoint, agent's or client's: dialled, in outer TLS, framed, a path, leaving.
use std::collections::BTreeMap;
use std::ops::Range;

use telerelay_outer::{How, LegKey};
use telerelay_session::PathKey;
use telerelay_wire::Code;
use telerelay_wire::FrameError;
use telerelay_wire::ids::NodeName;
use telerelay_wire::limits;
use telerelay_wire::outer::Frame;

use crate::agenda::{Event, Who};
use crate::invariants;
use crate::leg::path::{Came, EndPath, Peer};
use crate::leg::{Leg, Told};
use crate::network::{ConnectionId, Dialled, End, Read};
use crate::node::LINGER;
use crate::scenario::Break;
use crate::scene::Scene;
use crate::story::What;

/// One leg of an endpoint.
#[derive(Debug)]
pub(crate) struct EndLeg {
    pub(crate) leg: Leg,
    pub(crate) phase: Phase,
    /// FIN is sent or queued.
    is_leaving: bool,
}

#[derive(Debug)]
pub(crate) enum Phase {
    Connecting,
    Framed,
    Path(Box<EndPath>),
}

/// What came by a leg.
#[derive(Debug)]
pub(crate) enum Heard {
    Nothing,
    Up,
    Frame(Frame<'static>),
    BadFrame(FrameError),
    /// Inner TLS is up.
    Secured(Peer),
    /// Plaintext of inner TLS; it stands in the path.
    Plaintext(Range<usize>),
    /// The leg has ended, with or without a word.
    Gone,
}

/// All legs of an endpoint, by the names that its machines give them.
#[derive(Debug)]
pub(crate) struct Legs<K> {
    who: Who,
    #[expect(
        clippy::struct_field_names,
        reason = "an endpoint's legs, and the type is called so too"
    )]
    legs: BTreeMap<K, EndLeg>,
    by_connection: BTreeMap<ConnectionId, K>,
}

impl<K: Copy + Ord + Into<LegKey>> Legs<K> {
    pub(crate) fn new(who: Who) -> Self {
        Self {
            who,
            legs: BTreeMap::new(),
            by_connection: BTreeMap::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.legs.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (K, &EndLeg)> {
        self.legs.iter().map(|(&key, leg)| (key, leg))
    }

    pub(crate) fn key_of(&self, connection: ConnectionId) -> Option<K> {
        self.by_connection.get(&connection).copied()
    }

    /// A leg that is a path, and the path.
    pub(crate) fn path(&mut self, key: K) -> Option<(&mut Leg, &mut EndPath)> {
        match self.legs.get_mut(&key) {
            Some(EndLeg {
                leg,
                phase: Phase::Path(path),
                ..
            }) => Some((leg, path)),
            _ => None,
        }
    }

    /// The connection of a session's path.
    pub(crate) fn connection_of(&self, path: PathKey) -> Option<ConnectionId> {
        self.legs.values().find_map(|one| match &one.phase {
            Phase::Path(end) if end.key == path => Some(one.leg.connection),
            _ => None,
        })
    }

    /// Whether a session's path takes more records.
    pub(crate) fn is_open_for(&self, path: PathKey) -> bool {
        self.legs.values().any(|one| match &one.phase {
            Phase::Path(end) => end.key == path && !one.is_leaving && one.leg.backlog() == 0,
            _ => false,
        })
    }

    pub(crate) fn dial(&mut self, key: K, node: &NodeName, scene: &mut Scene) {
        let connection = scene.dial(self.who, node);
        scene.note_leg(self.who, "dials", key.into(), || node.to_string());
        if let Some(node) = scene.node_of(node) {
            scene.saw(self.who, What::Dialled(node));
        }
        let leg = EndLeg {
            leg: Leg::new(connection, End::Endpoint),
            phase: Phase::Connecting,
            is_leaving: false,
        };
        self.legs.insert(key, leg);
        self.by_connection.insert(connection, key);
    }

    pub(crate) fn send(&mut self, key: K, frame: &Frame<'_>, scene: &mut Scene) {
        scene.note_leg(self.who, "→", key.into(), || frame.name().to_owned());
        scene.saw(self.who, What::Said(frame.name()));
        if let Frame::Error(error) = frame {
            let said = format!("an endpoint says {}", error.code);
            scene.check(invariants::nobody_breaks_the_protocol(
                error.code.code(),
                &said,
            ));
        }
        if let Some(one) = self.legs.get_mut(&key) {
            one.leg.send(frame);
            // Should this break the leg, its next turn finds out.
            one.leg
                .flush(&mut scene.network, scene.now, &mut scene.agenda);
        }
    }

    /// The machine closes a leg.
    pub(crate) fn close(&mut self, key: K, how: How, scene: &mut Scene) {
        scene.note_leg(self.who, "closes", key.into(), || format!("{how:?}"));
        match how {
            How::AtOnce => self.drop_leg(key, true, scene),
            How::Flushed => {
                if let Some(one) = self.legs.get_mut(&key) {
                    one.leg.close_notify();
                }
                self.leave(key, scene);
            }
        }
    }

    /// FIN follows what is queued; the other end is waited for.
    pub(crate) fn leave(&mut self, key: K, scene: &mut Scene) {
        if let Some(one) = self.legs.get_mut(&key)
            && !std::mem::replace(&mut one.is_leaving, true)
        {
            one.leg.finish();
            one.leg
                .flush(&mut scene.network, scene.now, &mut scene.agenda);
            scene.after(LINGER, Event::Lingered(self.who, one.leg.connection));
        }
    }

    /// Gives a leg up.
    pub(crate) fn drop_leg(&mut self, key: K, abort: bool, scene: &mut Scene) {
        if let Some(one) = self.legs.remove(&key) {
            self.by_connection.remove(&one.leg.connection);
            one.leg
                .close(abort, &mut scene.network, scene.now, &mut scene.agenda);
        }
    }

    /// Forgets everything: the process is dead.
    pub(crate) fn forget(&mut self) {
        self.legs.clear();
        self.by_connection.clear();
    }

    /// A leg becomes a path.
    pub(crate) fn start(&mut self, key: K, path: EndPath) -> Option<(&mut Leg, &mut EndPath)> {
        let one = self.legs.get_mut(&key)?;
        one.phase = Phase::Path(Box::new(path));
        self.path(key)
    }

    /// The next thing that came by a leg. Call it until nothing does.
    pub(crate) fn heard(&mut self, key: K, scene: &mut Scene) -> Heard {
        let Some(one) = self.legs.get_mut(&key) else {
            return Heard::Nothing;
        };
        let heard = one.heard(scene);
        if let Heard::Frame(frame) = &heard {
            scene.note_leg(self.who, "←", key.into(), || frame.name().to_owned());
        }
        heard
    }

    /// Writes what the network takes.
    pub(crate) fn flush(&mut self, key: K, scene: &mut Scene) {
        if let Some(one) = self.legs.get_mut(&key) {
            // A leg that breaks here is found when it is read.
            one.leg
                .flush(&mut scene.network, scene.now, &mut scene.agenda);
        }
    }

    /// Whether a leg waits for the other end to close.
    pub(crate) fn is_leaving(&self, key: K) -> bool {
        self.legs.get(&key).is_some_and(|one| one.is_leaving)
    }

    /// A leg puts its outer TLS down. `is_first`: nothing was carried before, so that it is on trial; `breaks`: what its network
    /// does to it.
    pub(crate) fn switch(
        &mut self,
        key: K,
        is_first: bool,
        breaks: Option<Break>,
        scene: &mut Scene,
    ) {
        if !self.is_leaving(key)
            && let Some((leg, path)) = self.path(key)
        {
            path.key_update(leg);
            let connection = leg.connection;
            if path.switch(leg, is_first) {
                scene.note_leg(self.who, "switches", key.into(), String::new);
                let now = scene.now;
                if let Some(how) = breaks {
                    scene.last_fault = Some(now);
                    scene
                        .network
                        .damage(connection, how, now, &mut scene.agenda);
                }
                if is_first {
                    scene.after(limits::SWITCH, Event::ProofDue(self.who, connection));
                }
            }
            self.flush(key, scene);
        }
    }

    /// Whether a session's path is on trial.
    pub(crate) fn is_on_trial(&self, path: PathKey) -> bool {
        self.legs.values().any(|one| match &one.phase {
            Phase::Path(end) => end.key == path && end.is_on_trial(),
            _ => false,
        })
    }
}

impl EndLeg {
    fn heard(&mut self, scene: &mut Scene) -> Heard {
        loop {
            let told = match &mut self.phase {
                Phase::Connecting => match scene.network.dialled(self.leg.connection) {
                    Dialled::Pending => return Heard::Nothing,
                    Dialled::Refused => return Heard::Gone,
                    Dialled::Up => {
                        self.phase = Phase::Framed;
                        self.leg.hello();
                        continue;
                    }
                },
                Phase::Framed => match self.leg.told() {
                    Told::Nothing => None,
                    Told::Up => Some(Heard::Up),
                    Told::Frame(frame) => Some(Heard::Frame(frame)),
                    Told::BadFrame(error) => Some(Heard::BadFrame(error)),
                    Told::Closed => Some(Heard::Gone),
                    Told::Broken => Some(broken("what is no frame", scene)),
                },
                Phase::Path(path) => match path.came(&mut self.leg, &mut scene.dice) {
                    Came::Nothing => None,
                    Came::Secured(peer) => Some(Heard::Secured(peer)),
                    Came::Plaintext(range) => Some(Heard::Plaintext(range)),
                    Came::Closed | Came::Ended => Some(Heard::Gone),
                    Came::Broken(what) => Some(broken(what, scene)),
                },
            };
            // What was answered on the way leaves at once.
            let is_broken = !self
                .leg
                .flush(&mut scene.network, scene.now, &mut scene.agenda);
            if let Some(told) = told {
                return told;
            }
            if is_broken {
                return Heard::Gone;
            }
            match self
                .leg
                .fill(&mut scene.network, scene.now, &mut scene.agenda)
            {
                Read::Bytes(_) => {}
                Read::Nothing => return Heard::Nothing,
                Read::End | Read::Reset => return Heard::Gone,
            }
        }
    }
}

fn broken(what: &str, scene: &mut Scene) -> Heard {
    let said = format!("an endpoint reads {what}");
    scene.check(invariants::nobody_breaks_the_protocol(
        Some(Code::BadFrame),
        &said,
    ));
    Heard::Gone
}
