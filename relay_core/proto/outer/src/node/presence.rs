//! Which agents are here: the table of ready connections, who was here a moment ago, and what is told out of it
//! (PROTOCOL.md §5.3).
use telerelay_wire::ids::DeviceId;
use telerelay_wire::{Moment, limits};

use super::command::Command;
use super::table::{DeviceKey, Presence, Timer};
use super::{Node, Scope};
use crate::leg::{How, LegKey};

impl Scope {
    /// The devices as they stand in the ordered map.
    pub(super) fn range(self) -> core::ops::RangeInclusive<DeviceKey> {
        const FIRST: [u8; 32] = [0; 32];
        const LAST: [u8; 32] = [0xff; 32];
        let key = |organisation, device| DeviceKey {
            organisation,
            device,
        };
        match self {
            Self::All => {
                let of = telerelay_wire::ids::OrganisationId;
                key(of(FIRST), DeviceId(FIRST))..=key(of(LAST), DeviceId(LAST))
            }
            Self::Organisation(organisation) => {
                key(organisation, DeviceId(FIRST))..=key(organisation, DeviceId(LAST))
            }
            Self::Device(organisation, device) => {
                key(organisation, device)..=key(organisation, device)
            }
        }
    }
}

impl Node {
    /// An agent's leg was admitted and counts as being here.
    pub(super) fn device_arrived(&mut self, key: LegKey) -> Option<DeviceKey> {
        let device = self.legs.get(&key)?.device();
        self.devices.entry(device).or_default().legs += 1;
        self.disarm_gap_memory(device);
        Some(device)
    }

    /// A leg is the device's ready connection from here on.
    pub(super) fn device_is_ready(&mut self, key: LegKey, device: DeviceKey) {
        self.disarm_device(device);
        let presence = self.devices.entry(device).or_default();
        presence.announced = true;
        if presence.ready.replace(key).is_none() {
            self.ready += 1;
        }
    }

    /// The device has no ready connection from here on; the one that it had.
    pub(super) fn take_ready(&mut self, device: DeviceKey) -> Option<LegKey> {
        let taken = self.devices.get_mut(&device)?.ready.take()?;
        self.ready -= 1;
        Some(taken)
    }

    /// The ready connection is taken for an attempt. The agent decides, and dials the next one when it accepts or gives this
    /// one back when it refuses; if neither comes in the time for that, the device is told out as gone.
    pub(super) fn device_is_claimed(&mut self, key: LegKey, device: DeviceKey, now: Moment) {
        #[cfg(feature = "mutants")]
        if self.mutant == super::Mutant::DoubleClaim {
            return;
        }
        self.take_ready(device);
        let until = now + limits::ACCEPT + limits::GAP_WAIT;
        self.arm_device(device, until, Timer::Redial(key), key);
    }

    /// The agent accepted: it is dialling its next ready connection, and has as long as a CONNECT would wait for it.
    pub(super) fn device_redials(&mut self, key: LegKey, device: DeviceKey, now: Moment) {
        if self
            .devices
            .get(&device)
            .is_some_and(|presence| presence.ready.is_none())
        {
            self.arm_device(device, now + limits::GAP_WAIT, Timer::Redial(key), key);
        }
    }

    /// The ready connection fell silent.
    pub(super) fn ready_silent(&mut self, key: LegKey, now: Moment) {
        self.commands.push_back(Command::Close(key, How::AtOnce));
        self.lose(key, now);
    }

    /// The ready connection is gone, and was not taken for an attempt.
    pub(super) fn ready_gone(&mut self, key: LegKey, device: DeviceKey, now: Moment) {
        let ready = self
            .devices
            .get(&device)
            .and_then(|presence| presence.ready);
        if ready == Some(key) {
            self.take_ready(device);
            if !self.promote(device, now) {
                self.tell_gone(device);
            }
        }
        self.device_left(key, device, now);
    }

    /// A leg that waited for the older one's answer is gone.
    pub(super) fn challenger_gone(&mut self, key: LegKey, device: DeviceKey, now: Moment) {
        if let Some(presence) = self.devices.get_mut(&device)
            && presence.challenger == Some(key)
        {
            presence.challenger = None;
        }
        self.device_left(key, device, now);
        self.serve(device, now);
    }

    /// One leg less. With the last one begins the time in which the device counts as 'just re-dialling'.
    pub(super) fn device_left(&mut self, key: LegKey, device: DeviceKey, now: Moment) {
        let Some(presence) = self.devices.get_mut(&device) else {
            return;
        };
        presence.legs = presence.legs.saturating_sub(1);
        if presence.legs == 0 {
            self.tell_gone(device);
            self.arm_device(device, now + limits::GAP_MEMORY, Timer::GapMemory(key), key);
        }
    }

    /// A claimed device has not dialled its next ready connection.
    pub(super) fn not_redialled(&mut self, key: LegKey) {
        if let Some(device) = self.device_timer_fired(key) {
            self.tell_gone(device);
        }
    }

    /// A device was away for long enough.
    pub(super) fn forget_device(&mut self, key: LegKey) {
        if let Some(device) = self.device_timer_fired(key) {
            self.forget_unused(device);
        }
    }

    /// Forgets a device that has no leg, no memory and nobody who waits for it.
    pub(super) fn forget_unused(&mut self, device: DeviceKey) {
        let unused = |presence: &Presence| {
            presence.legs == 0 && presence.due.is_none() && presence.waiting.is_empty()
        };
        if self.devices.get(&device).is_some_and(unused) {
            self.devices.remove(&device);
        }
    }

    fn tell_gone(&mut self, device: DeviceKey) {
        if let Some(presence) = self.devices.get_mut(&device)
            && core::mem::take(&mut presence.announced)
        {
            let DeviceKey {
                organisation,
                device,
            } = device;
            self.commands.push_back(Command::AgentGone {
                organisation,
                device,
            });
        }
    }

    fn arm_device(&mut self, device: DeviceKey, at: Moment, timer: Timer, key: LegKey) {
        self.disarm_device(device);
        if let Some(presence) = self.devices.get_mut(&device) {
            self.deadlines.arm(&mut presence.due, at, timer);
            self.device_timers.insert(key, device);
        }
    }

    fn device_timer_fired(&mut self, key: LegKey) -> Option<DeviceKey> {
        let device = self.device_timers.remove(&key)?;
        self.devices.get_mut(&device)?.due = None;
        Some(device)
    }

    fn disarm_device(&mut self, device: DeviceKey) {
        let Some(presence) = self.devices.get_mut(&device) else {
            return;
        };
        if let Some((_, Timer::Redial(key) | Timer::GapMemory(key))) = presence.due {
            self.device_timers.remove(&key);
        }
        self.deadlines.disarm(&mut presence.due);
    }

    /// A device that was away is back, if not yet ready.
    fn disarm_gap_memory(&mut self, device: DeviceKey) {
        if matches!(
            self.devices.get(&device),
            Some(Presence {
                due: Some((_, Timer::GapMemory(_))),
                ..
            })
        ) {
            self.disarm_device(device);
        }
    }
}
