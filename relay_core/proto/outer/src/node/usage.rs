//! What a device and an organisation use of a node, and how much of it they may (PROTOCOL.md §5.10).
use core::time::Duration;
use std::collections::BTreeMap;

use telerelay_wire::ids::OrganisationId;
use telerelay_wire::{Code, Moment, limits};

use super::Node;
use super::table::{DeviceKey, Timer};
use crate::deadlines::Due;
use crate::pace::Pace;
use crate::refusal::{Refusal, seconds_up};

/// CONNECTs of one device. A viewer that opens several sessions asks that often at once, a person never so often for long.
const CONNECTS: Pace = Pace::new(
    Duration::from_millis(60_000 / limits::CONNECTS_PER_MINUTE as u64),
    limits::USAGE_MEMORY,
);

/// By which limit somebody is refused who comes too often or is one too many (PROTOCOL.md §5.10, §12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Another leg of a device.
    LegsPerDevice,
    /// Another CONNECT of a device.
    ConnectsPerMinute,
    /// Another CONNECT of an organisation, none of which is a path yet.
    OrganisationRequests,
    /// Another session of an organisation.
    OrganisationSessions,
    /// Another CONNECT in the room where they wait for their turn.
    Arrivals,
    /// Another CONNECT that waits for one agent's next ready connection.
    GapWaiters,
}

impl Rule {
    /// Every rule.
    pub const ALL: [Self; 6] = [
        Self::LegsPerDevice,
        Self::ConnectsPerMinute,
        Self::OrganisationRequests,
        Self::OrganisationSessions,
        Self::Arrivals,
        Self::GapWaiters,
    ];

    /// The limit's name in docs/LIMITS.md.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LegsPerDevice => "legs_per_device",
            Self::ConnectsPerMinute => "connects_per_minute",
            Self::OrganisationRequests => "organisation_requests",
            Self::OrganisationSessions => "organisation_sessions",
            Self::Arrivals => "arrivals_wait_ms",
            Self::GapWaiters => "gap_waiters",
        }
    }
}

/// The use of everybody who is here, or was a minute ago.
#[derive(Debug, Default)]
pub(super) struct Usage {
    devices: BTreeMap<DeviceKey, DeviceUse>,
    organisations: BTreeMap<OrganisationId, OrganisationUse>,
    /// How often each rule refused somebody, in their order.
    refused: [u64; Rule::ALL.len()],
    /// When devices are forgotten that have no leg and could ask as often as anybody.
    pub(super) sweep: Due<Timer>,
}

#[derive(Debug, Default)]
struct DeviceUse {
    legs: usize,
    /// Of [`CONNECTS`]; zero where it has not asked lately.
    due: Moment,
}

/// What an organisation has at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct OrganisationUse {
    requests: usize,
    sessions: usize,
}

impl Usage {
    /// How many devices are remembered.
    pub(super) fn devices(&self) -> usize {
        self.devices.len()
    }

    /// A leg of a client. Those of an agent are counted where it is present: thousands of them wait, and each byte counts.
    pub(super) fn leg_up(&mut self, device: DeviceKey) {
        self.devices.entry(device).or_default().legs += 1;
    }

    /// A leg is gone, of a client or of an agent.
    pub(super) fn leg_gone(&mut self, device: DeviceKey) {
        if let Some(used) = self.devices.get_mut(&device) {
            used.legs = used.legs.saturating_sub(1);
            if used.legs == 0 && used.due == Moment::ZERO {
                self.devices.remove(&device);
            }
        }
    }

    /// Counts a CONNECT of a device; when it may ask again, where it asks too often.
    fn asks(&mut self, device: DeviceKey, now: Moment) -> Result<(), Moment> {
        let used = self.devices.entry(device).or_default();
        if CONNECTS.step(&mut used.due, now) {
            Ok(())
        } else {
            Err(CONNECTS.ready_at(used.due))
        }
    }

    /// Forgets devices that are gone and whose pace has come back. Whether others are left to be looked at.
    fn forget(&mut self, now: Moment) -> bool {
        let mut left = false;
        self.devices.retain(|_, used| {
            if used.due <= now {
                used.due = Moment::ZERO;
            }
            left |= used.due != Moment::ZERO;
            used.legs > 0 || used.due != Moment::ZERO
        });
        left
    }

    /// Counts a refusal.
    pub(super) fn one_too_many(&mut self, rule: Rule) {
        self.refused[rule as usize] += 1;
    }

    pub(super) fn request(&mut self, organisation: OrganisationId) {
        self.organisations.entry(organisation).or_default().requests += 1;
    }

    pub(super) fn request_over(&mut self, organisation: OrganisationId) {
        self.change(organisation, |used| used.requests -= 1);
    }

    pub(super) fn session(&mut self, organisation: OrganisationId) {
        self.change(organisation, |used| {
            used.requests -= 1;
            used.sessions += 1;
        });
    }

    pub(super) fn session_over(&mut self, organisation: OrganisationId) {
        self.change(organisation, |used| used.sessions -= 1);
    }

    fn change(&mut self, organisation: OrganisationId, change: impl Fn(&mut OrganisationUse)) {
        if let Some(used) = self.organisations.get_mut(&organisation) {
            change(used);
            if *used == OrganisationUse::default() {
                self.organisations.remove(&organisation);
            }
        }
    }
}

impl Node {
    /// How often each rule has refused somebody.
    pub fn throttled(&self) -> [(Rule, u64); Rule::ALL.len()] {
        Rule::ALL.map(|rule| (rule, self.usage.refused[rule as usize]))
    }

    /// Whether the device, which says HELLO on another leg, has as many as one may have.
    pub(super) fn has_all_legs(&self, device: DeviceKey) -> bool {
        let of_agent = self
            .devices
            .get(&device)
            .map(|presence| presence.legs as usize);
        let of_client = self.usage.devices.get(&device).map(|used| used.legs - 1);
        of_agent.or(of_client).unwrap_or_default() >= limits::LEGS_PER_DEVICE
    }

    /// Why a CONNECT of this device is refused whatever it asks for: it asks too often, or its organisation has all that it may
    /// have. Each device answers for itself: what one tries keeps no other one out.
    pub(super) fn exceeds(&mut self, device: DeviceKey, now: Moment) -> Option<Refusal> {
        let asked = self.usage.asks(device, now);
        if self.usage.sweep.is_none() {
            self.deadlines.arm(
                &mut self.usage.sweep,
                now + limits::USAGE_MEMORY,
                Timer::Usage,
            );
        }
        if let Err(ready_at) = asked {
            self.usage.one_too_many(Rule::ConnectsPerMinute);
            return Some(Refusal::after(
                Code::Throttled,
                seconds_up(ready_at.since(now)),
            ));
        }
        let organisation = device.organisation;
        let used = self.usage.organisations.get(&organisation).copied();
        let used = used.unwrap_or_default();
        let (rule, code) = if used.requests >= limits::ORGANISATION_REQUESTS {
            (Rule::OrganisationRequests, Code::Busy)
        } else if used.requests + used.sessions >= self.snapshot.sessions_of(organisation) {
            (Rule::OrganisationSessions, Code::Quota)
        } else {
            return None;
        };
        self.usage.one_too_many(rule);
        Some(code.into())
    }

    /// A minute is over.
    pub(super) fn forget_usage(&mut self, now: Moment) {
        self.usage.sweep = None;
        if self.usage.forget(now) {
            self.deadlines.arm(
                &mut self.usage.sweep,
                now + limits::USAGE_MEMORY,
                Timer::Usage,
            );
        }
    }
}
