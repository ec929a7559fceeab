//! Who may speak to this node: HELLO is answered from a snapshot, without asking anybody (PROTOCOL.md §5.1).
use std::collections::{BTreeMap, BTreeSet};

use telerelay_wire::ids::{ComputerId, DeviceId, OrganisationId, Role};
use telerelay_wire::{Code, limits};

use super::table::DeviceKey;
use crate::leg::{Purpose, VERSION};

/// Whom a listener is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Agents.
    Inside,
    /// Clients.
    Outside,
    /// Both.
    Both,
}

/// What a verified certificate says about the other end (PROTOCOL.md §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The root key's hash.
    pub organisation: OrganisationId,
    /// The leaf key's hash.
    pub device: DeviceId,
    /// What the leaf is for.
    pub holder: Holder,
}

/// What a leaf certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// serverAuth: the agent of this computer.
    Agent(ComputerId),
    /// clientAuth under an issuer.
    Client,
    /// An administrator's or a keeper's: it has no role in this protocol.
    Other,
}

/// Whether an organisation may use this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It may.
    Admitted,
    /// The operator has suspended it.
    Suspended,
}

/// Organisations, revocations and the version of the node list, of one moment. Replaced as a whole.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Every organisation that this node knows.
    pub organisations: BTreeMap<OrganisationId, Standing>,
    /// Every device that an organisation has revoked.
    pub revoked: BTreeSet<(OrganisationId, DeviceId)>,
    /// How many sessions an organisation may have at once, where it is not `organisation_sessions`.
    pub sessions: BTreeMap<OrganisationId, u32>,
    /// Which of the organisations were admitted for a test.
    pub tests: BTreeSet<OrganisationId>,
    /// For WELCOME.
    pub nodes_version: u64,
}

impl Snapshot {
    /// How many sessions the organisation may have at once.
    pub(super) fn sessions_of(&self, organisation: OrganisationId) -> usize {
        let sessions = self.sessions.get(&organisation).copied();
        sessions.unwrap_or(limits::ORGANISATION_SESSIONS) as usize
    }

    /// What the organisation was admitted for.
    pub(super) fn purpose_of(&self, organisation: OrganisationId) -> Purpose {
        if self.tests.contains(&organisation) {
            Purpose::Test
        } else {
            Purpose::Staff
        }
    }

    /// Why this device may not speak to the node, if it may not. An organisation that is not known any more counts as
    /// suspended: its certificate was accepted while it was.
    pub(super) fn refuses(&self, device: DeviceKey) -> Option<Code> {
        let DeviceKey {
            organisation,
            device,
        } = device;
        if self.organisations.get(&organisation) != Some(&Standing::Admitted) {
            Some(Code::Suspended)
        } else if self.revoked.contains(&(organisation, device)) {
            Some(Code::Revoked)
        } else {
            None
        }
    }
}

/// Why a HELLO is refused whatever the snapshot says; the first reason in the order of §5.1.
pub(super) fn refuses_hello(
    version: u16,
    role: Role,
    identity: &Identity,
    side: Side,
) -> Option<Code> {
    if version != VERSION {
        return Some(Code::Version);
    }
    match (role, identity.holder, side) {
        (Role::Bridge, _, _) => Some(Code::Unsupported),
        (Role::Agent, Holder::Agent(_), Side::Outside)
        | (Role::Client, Holder::Client, Side::Inside) => Some(Code::WrongSide),
        (Role::Agent, Holder::Agent(_), _) | (Role::Client, Holder::Client, _) => None,
        (Role::Agent | Role::Client, _, _) => Some(Code::WrongRole),
    }
}
