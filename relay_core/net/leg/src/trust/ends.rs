//! How agent and client verify each other inside inner TLS: by their own organisation's root (PROTOCOL.md §7).
use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::DistinguishedName;
use rustls::client::danger::{ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use telerelay_wire::ids::{ComputerId, DeviceId};

use super::admission::borrowed;
use super::{Anchor, Certified, Identity, Refusal, tls13_signatures};

/// The revocation list in force: replaced as a whole, read by each inner handshake.
#[derive(Debug, Default)]
pub struct Revoked {
    devices: RwLock<Arc<HashSet<DeviceId>>>,
}

impl Revoked {
    /// Replaces the list.
    pub fn replace(&self, devices: impl IntoIterator<Item = DeviceId>) {
        let devices = devices.into_iter().collect();
        *self.devices.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(devices);
    }

    /// True if the device stands in it.
    pub fn contains(&self, device: DeviceId) -> bool {
        self.devices
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(&device)
    }
}

/// Reads and verifies a device's chain against one root.
fn device(
    root: &Anchor,
    leaf: &CertificateDer<'_>,
    others: &[CertificateDer<'_>],
    now: UnixTime,
    role: Certified,
) -> Result<Identity, Refusal> {
    let chain: Vec<CertificateDer<'_>> = [leaf].into_iter().chain(others).map(borrowed).collect();
    let identity = Identity::of(&chain)?;
    if identity.role != role || identity.organisation != root.id() {
        return Err(Refusal::Identity);
    }
    root.verify(leaf, others, now, role.usage())?;
    Ok(identity)
}

/// The client's verifier: an agent of its organisation, and the computer that it asked for.
#[derive(Debug)]
pub(crate) struct AgentVerifier {
    pub(crate) root: Arc<Anchor>,
    pub(crate) computer: ComputerId,
}

impl ServerCertVerifier for AgentVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let identity = device(&self.root, end_entity, intermediates, now, Certified::Agent)?;
        if identity.computer == Some(self.computer) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Refusal::Identity.into())
        }
    }

    tls13_signatures!();
}

/// The agent's verifier: a client of its organisation, the very device that INCOMING claimed, not revoked.
#[derive(Debug)]
pub(crate) struct ClientVerifier {
    pub(crate) root: Arc<Anchor>,
    pub(crate) device: DeviceId,
    pub(crate) revoked: Arc<Revoked>,
}

impl ClientCertVerifier for ClientVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let identity = device(
            &self.root,
            end_entity,
            intermediates,
            now,
            Certified::Client,
        )?;
        if identity.device != self.device {
            return Err(Refusal::Identity.into());
        }
        if self.revoked.contains(identity.device) {
            return Err(Refusal::Revoked.into());
        }
        Ok(ClientCertVerified::assertion())
    }

    tls13_signatures!();
}
