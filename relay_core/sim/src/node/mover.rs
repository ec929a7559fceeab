//! A path at a node: moves bytes between two legs by the table of PROTOCOL.md §6, each leg wrapped or raw as it likes.
use telerelay_outer::node::{Cause, PathEnd};
use telerelay_outer::switch::{
    Action, Arrival, Receiving, Sending, answer, arrive, flushed, is_direct,
};
use telerelay_outer::{LegKey, PathKind, Traffic};
use telerelay_wire::outer::{Frame, PATH_MAXIMUM, Switch, path_header, path_view};

use super::LINGER;
use crate::agenda::{Event, Who};
use crate::invariants::{self, Verdict};
use crate::leg::path::is_switch;
use crate::leg::{Content, Leg, MOST_INPUT};
use crate::network::Read;
use crate::scene::Scene;

/// A leg with this much to write is not fed: the node's back-pressure is not reading.
const BACKLOG: usize = 65_536;

/// Two legs that are one path.
#[derive(Debug)]
pub(super) struct Mover {
    /// The agent's, the client's.
    halves: [Half; 2],
    is_direct_allowed: bool,
    cause: Cause,
    is_stopping: bool,
    switched: Vec<Who>,
}

#[derive(Debug)]
struct Half {
    /// Who dialled.
    peer: Who,
    key: LegKey,
    leg: Box<Leg>,
    receiving: Receiving,
    sending: Sending,
    /// What came and waits for the other leg's SWITCH.
    held: Option<Came>,
    /// Bytes that came by this leg.
    moved: u64,
    switch: Seen,
    /// It has put its outer TLS down in both directions.
    was_direct: bool,
    is_closed: bool,
}

/// What was seen of SWITCH on a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Nothing,
    /// It came while it could be answered.
    Asked,
    /// The answer is written.
    Answered,
}

/// What came by a leg.
#[derive(Debug)]
enum Came {
    Bytes(Arrival, Vec<u8>),
    Event(Arrival),
}

impl Came {
    fn arrival(&self) -> Arrival {
        match self {
            Self::Bytes(arrival, _) | Self::Event(arrival) => *arrival,
        }
    }
}

/// What a turn came to.
pub(super) enum Turn {
    Moving,
    /// Both legs are closed.
    Over(PathEnd),
}

impl Mover {
    pub(super) fn new(
        agent: (Who, LegKey, Box<Leg>),
        client: (Who, LegKey, Box<Leg>),
        is_direct_allowed: bool,
    ) -> Self {
        let half = |(peer, key, leg)| Half {
            peer,
            key,
            leg,
            receiving: Receiving::Wrapped,
            sending: Sending::Wrapped,
            held: None,
            moved: 0,
            switch: Seen::Nothing,
            was_direct: false,
            is_closed: false,
        };
        Self {
            halves: [agent, client].map(half),
            is_direct_allowed,
            cause: Cause::Leg,
            is_stopping: false,
            switched: Vec::new(),
        }
    }

    /// Whose legs put their outer TLS down since this was last asked, in turn.
    pub(super) fn switched(&mut self) -> Vec<Who> {
        std::mem::take(&mut self.switched)
    }

    pub(super) fn legs(&self) -> [LegKey; 2] {
        [self.halves[0].key, self.halves[1].key]
    }

    /// The machine ends the path: what is queued leaves, then both legs close.
    pub(super) fn stop(&mut self) {
        self.is_stopping = true;
    }

    /// The other ends did not close in time.
    pub(super) fn lingered(&mut self, scene: &mut Scene) {
        for half in &mut self.halves {
            if half.sending == Sending::Ended {
                half.close(true, scene);
            }
        }
    }

    /// Moves what there is to move.
    pub(super) fn turn(&mut self, node: usize, scene: &mut Scene) -> Turn {
        loop {
            let mut has_moved = false;
            if !self.is_stopping {
                for from in 0..2 {
                    has_moved |= self.direction(from, scene);
                }
            }
            if self.is_stopping {
                self.put_down(node, scene);
            }
            for half in &mut self.halves {
                match half.flush(scene) {
                    Some(changed) => has_moved |= changed,
                    None => has_moved |= !std::mem::replace(&mut self.is_stopping, true),
                }
            }
            if !has_moved {
                break;
            }
        }
        let is_over = |half: &Half| half.receiving == Receiving::Ended && half.has_ended();
        if self.halves.iter().all(is_over) {
            self.halves
                .iter_mut()
                .for_each(|half| half.close(false, scene));
        }
        if self.halves.iter().all(|half| half.is_closed) {
            Turn::Over(self.end())
        } else {
            Turn::Moving
        }
    }

    /// Takes the next thing that came by a leg, and does what the table says.
    fn direction(&mut self, from: usize, scene: &mut Scene) -> bool {
        let [agent, client] = &mut self.halves;
        let (src, dst) = if from == 0 {
            (agent, client)
        } else {
            (client, agent)
        };
        if src.receiving == Receiving::Ended || dst.leg.backlog() > BACKLOG {
            return false;
        }
        let Some(came) = src.held.take().or_else(|| src.next(scene)) else {
            return false;
        };
        let arrival = came.arrival();
        if arrival == Arrival::Switch && !self.is_direct_allowed {
            self.cause = Cause::Breach(telerelay_wire::Code::Unsupported);
            self.is_stopping = true;
            return true;
        }
        let step = arrive(src.receiving, dst.sending, arrival);
        (src.receiving, dst.sending) = (step.src, step.dst);
        match (step.action, came) {
            (Action::Nothing, _) => {}
            (Action::Frame, Came::Bytes(_, bytes)) => {
                src.moved += bytes.len() as u64;
                for part in bytes.chunks(PATH_MAXIMUM.into()) {
                    let length = u16::try_from(part.len()).unwrap_or(PATH_MAXIMUM);
                    let record: [&[u8]; 2] = [&path_header(length), part];
                    dst.leg
                        .channel
                        .seal(Content::Data, &record, &mut dst.leg.output);
                }
            }
            (Action::Append | Action::Move, Came::Bytes(_, bytes)) => {
                src.moved += bytes.len() as u64;
                dst.leg.output.extend_from_slice(&bytes);
            }
            (Action::Hold, came) => {
                src.held = Some(came);
                return false;
            }
            (Action::Answer, _) => {
                if src.sending == Sending::Wrapped {
                    src.switch = Seen::Asked;
                }
                src.sending = answer(src.sending);
                self.switched.push(src.peer);
            }
            (Action::CloseNotify, _) => {
                dst.leg.close_notify();
                dst.leg.finish();
            }
            (Action::Shutdown, _) => dst.leg.finish(),
            (Action::CloseBoth | Action::Frame | Action::Append | Action::Move, _) => {
                self.is_stopping = true;
            }
        }
        true
    }

    /// A leg broke, or the machine said so: what is queued for the other one leaves, and both close.
    fn put_down(&mut self, node: usize, scene: &mut Scene) {
        for half in &mut self.halves {
            if half.is_closed
                || (half.receiving, half.sending) == (Receiving::Ended, Sending::Ended)
            {
                continue;
            }
            if half.sending != Sending::Ended {
                if half.sending == Sending::Wrapped {
                    half.leg.close_notify();
                }
                half.leg.finish();
            }
            (half.receiving, half.sending) = (Receiving::Ended, Sending::Ended);
            half.held = None;
            scene.after(
                LINGER,
                Event::Lingered(Who::Node(node), half.leg.connection),
            );
        }
        for half in &mut self.halves {
            if !half.is_closed
                && half
                    .leg
                    .discard(&mut scene.network, scene.now, &mut scene.agenda)
            {
                half.close(false, scene);
            }
        }
    }

    fn end(&self) -> PathEnd {
        let [agent, client] = &self.halves;
        let kind = match (agent.was_direct, client.was_direct) {
            (true, true) => PathKind::Direct,
            (false, false) => PathKind::Wrapped,
            _ => PathKind::Mixed,
        };
        let traffic = Traffic {
            to_client: agent.moved,
            to_agent: client.moved,
        };
        PathEnd {
            traffic,
            kind,
            cause: self.cause,
        }
    }

    pub(super) fn judge(&self) -> Verdict {
        if !self.is_stopping {
            let [agent, client] = &self.halves;
            for (src, dst) in [(agent, client), (client, agent)] {
                invariants::an_end_is_passed_on(src.receiving, dst.sending)?;
                src.judge()?;
            }
        }
        // A full read of one leg may stand behind a full backlog of the other, with what frames and records add to it.
        let most = BACKLOG + 2 * MOST_INPUT;
        self.halves.iter().try_for_each(|half| {
            invariants::buffers_are_bounded("a path's output", half.leg.backlog(), most)
        })
    }
}

impl Half {
    /// The next thing that came, reading where nothing lies here.
    fn next(&mut self, scene: &mut Scene) -> Option<Came> {
        loop {
            let came = match self.receiving {
                Receiving::Ended => return None,
                Receiving::Raw => {
                    let bytes = self.leg.input.take();
                    (!bytes.is_empty()).then_some(Came::Bytes(Arrival::Raw, bytes))
                }
                Receiving::Wrapped => self.record(scene),
            };
            if came.is_some() {
                return came;
            }
            let read = self
                .leg
                .fill(&mut scene.network, scene.now, &mut scene.agenda);
            match read {
                Read::Bytes(_) => {}
                Read::Nothing => return None,
                Read::End => return Some(Came::Event(Arrival::End)),
                Read::Reset => return Some(Came::Event(Arrival::Break)),
            }
        }
    }

    fn record(&mut self, scene: &mut Scene) -> Option<Came> {
        let arrival = match self.leg.input.open(&mut self.leg.channel) {
            Ok(None) => return None,
            Ok(Some((Content::Alert, _))) => Arrival::End,
            Ok(Some((Content::Handshake, _))) => Arrival::Empty,
            Ok(Some((Content::Data, range))) => {
                let record = self.leg.input.slice(range);
                if let Some(bytes) = path_view(record) {
                    return Some(Came::Bytes(Arrival::Path, bytes.to_vec()));
                }
                if is_switch(record) {
                    Arrival::Switch
                } else {
                    Arrival::Break
                }
            }
            Err(_) => Arrival::Break,
        };
        if arrival == Arrival::Break {
            let said = "a node reads what is no record of a path";
            scene.check(invariants::nobody_breaks_the_protocol(
                Some(telerelay_wire::Code::BadFrame),
                said,
            ));
        }
        Some(Came::Event(arrival))
    }

    /// Writes, and answers SWITCH when everything before it has left. Whether something changed, so that the other leg may be
    /// read again; `None`: the leg is broken.
    fn flush(&mut self, scene: &mut Scene) -> Option<bool> {
        if self.is_closed {
            return Some(false);
        }
        let mut has_changed = false;
        loop {
            let backlog = self.leg.backlog();
            if !self
                .leg
                .flush(&mut scene.network, scene.now, &mut scene.agenda)
            {
                self.close(true, scene);
                return None;
            }
            has_changed |= self.leg.backlog() < backlog;
            let (next, writes_switch) = flushed(self.sending);
            if self.leg.backlog() > 0 || next == self.sending {
                break;
            }
            self.sending = next;
            has_changed = true;
            if writes_switch {
                self.switch = Seen::Answered;
                self.leg.send(&Frame::Switch(Switch {}));
            }
        }
        self.was_direct |= is_direct(self.receiving, self.sending);
        Some(has_changed)
    }

    fn judge(&self) -> Verdict {
        let (sending, backlog) = (self.sending, self.leg.backlog());
        match self.switch {
            Seen::Nothing => Ok(()),
            Seen::Asked => invariants::switch_is_answered(sending, backlog),
            Seen::Answered => invariants::a_frozen_leg_thaws(sending, backlog),
        }
    }

    /// Nothing will be written any more, and everything is.
    fn has_ended(&self) -> bool {
        self.sending == Sending::Ended && self.leg.backlog() == 0
    }

    fn close(&mut self, abort: bool, scene: &mut Scene) {
        if !std::mem::replace(&mut self.is_closed, true) {
            (self.receiving, self.sending) = (Receiving::Ended, Sending::Ended);
            self.leg
                .close(abort, &mut scene.network, scene.now, &mut scene.agenda);
        }
    }
}
