//! What an operator does to a node, and what a machine room does to it.
use std::time::Duration;

use telerelay_outer::node::{Scope, Snapshot, Standing};
use telerelay_wire::Code;
use telerelay_wire::ids::{DeviceId, NewsKind};
use telerelay_wire::outer::{Goaway, News};

use super::{NodeHost, Phase, python};
use crate::agenda::{Event, Who};
use crate::invariants;
use crate::ledger::NodeBook;
use crate::network::ConnectionId;
use crate::scene::{ORGANISATION, Scene};

impl NodeHost {
    /// The process dies with everything in it.
    pub(crate) fn kill(&mut self, is_silent: bool, scene: &mut Scene) {
        if !self.is_up {
            return;
        }
        self.is_up = false;
        scene.listens[self.number] = false;
        scene.note(
            Who::Node(self.number),
            "dies",
            [is_silent.into(), 0],
            String::new,
        );
        let now = scene.now;
        let who = Who::Node(self.number);
        scene.network.died(who, is_silent, now, &mut scene.agenda);
        let number = self.number;
        scene.presence.retain(|_, node| *node != number);
        self.forget();
    }

    fn forget(&mut self) {
        self.legs.clear();
        self.by_connection.clear();
        self.paths.clear();
        self.ready.clear();
        self.asked.clear();
        self.book = NodeBook::default();
    }

    /// The process is started again.
    pub(crate) fn start(&mut self, scene: &mut Scene) {
        if self.is_up {
            return;
        }
        self.life += 1;
        self.is_up = true;
        scene.listens[self.number] = true;
        scene.note(
            Who::Node(self.number),
            "starts",
            [self.life, 0],
            String::new,
        );
        self.machine = python::machine(self.number, self.plan, scene);
    }

    /// Takes nothing new; what runs has so much time.
    pub(crate) fn drain(&mut self, grace: Duration, scene: &mut Scene) {
        if !self.is_up {
            return;
        }
        scene.note(Who::Node(self.number), "is drained", [0; 2], String::new);
        let goaway = Goaway {
            nodes: Vec::new().try_into().expect("none"),
            spread: 5,
        };
        self.book.stops(scene.now + grace);
        self.machine.stop(scene.now + grace, &goaway);
        self.obey(scene);
    }

    /// No attempt is left: the process ends a moment later, when what is queued has left.
    pub(super) fn drained(&mut self, scene: &mut Scene) {
        scene.note(Who::Node(self.number), "is empty", [0; 2], String::new);
        let verdict = self.book.all_ended();
        scene.check(verdict);
        let fault = crate::scenario::Fault::KillNode {
            node: self.number,
            is_silent: false,
            returns: None,
        };
        scene.after(Duration::from_secs(2), Event::Fault(fault));
    }

    /// `node cut`.
    pub(crate) fn cut(&mut self, device: DeviceId, scene: &mut Scene) {
        if self.is_up {
            self.book.rules(device, Code::Cut, scene.now);
            let scope = Scope::Device(ORGANISATION, device);
            self.machine.cut(scope, Code::Cut, scene.now);
            self.obey(scene);
        }
    }

    /// A revocation list takes a device away.
    pub(crate) fn revoke(&mut self, device: DeviceId, scene: &mut Scene) {
        if self.is_up {
            self.book.rules(device, Code::Revoked, scene.now);
            let mut snapshot = Snapshot::default();
            snapshot
                .organisations
                .insert(ORGANISATION, Standing::Admitted);
            snapshot.revoked.insert((ORGANISATION, device));
            self.machine
                .set_snapshot(std::sync::Arc::new(snapshot), scene.now);
            self.obey(scene);
        }
    }

    /// A document has a new version.
    pub(crate) fn news(&mut self, scene: &mut Scene) {
        if self.is_up {
            let news = News {
                kind: NewsKind::Computer,
                version: 2,
                document: None,
            };
            self.machine.news(Scope::All, &news);
            self.obey(scene);
        }
    }

    /// Whether a connection is a leg of a path.
    pub(crate) fn is_path(&self, connection: ConnectionId) -> bool {
        self.by_connection
            .get(&connection)
            .and_then(|key| self.legs.get(key))
            .is_some_and(|leg| matches!(leg.phase, Phase::Path(_)))
    }

    /// Everybody has left: nothing is here any more.
    pub(crate) fn judge_end(&self, scene: &mut Scene) {
        if !self.is_up {
            return;
        }
        let census = self.machine.census();
        for (what, count) in [
            ("legs of a node's machine", census.legs),
            ("attempts", census.attempts),
            ("path IDs", census.path_ids),
            ("devices", census.devices),
            ("deadlines", census.deadlines),
            ("legs of a node", self.legs.len()),
            ("agents told out as ready", self.ready.len()),
            ("paths", self.paths.len()),
            ("connections of a node", self.by_connection.len()),
        ] {
            scene.check(invariants::nothing_is_left(what, count));
        }
        scene.check(self.book.all_ended());
    }
}
