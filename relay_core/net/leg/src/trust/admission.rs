//! How a node verifies an endpoint: one root, chosen by what the last certificate names (PROTOCOL.md §3.4).
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::DistinguishedName;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use telerelay_wire::ids::OrganisationId;

use super::{Anchor, Identity, Refusal, tls13_signatures};

/// The organisations whose devices are let in: replaced as a whole, read by each handshake.
#[derive(Debug, Default)]
pub struct Organisations {
    anchors: RwLock<Arc<HashMap<OrganisationId, Arc<Anchor>>>>,
}

impl Organisations {
    /// Replaces all of them. Handshakes that run go on with what they found.
    pub fn replace(&self, anchors: impl IntoIterator<Item = Arc<Anchor>>) {
        let anchors = anchors
            .into_iter()
            .map(|anchor| (anchor.id(), anchor))
            .collect();
        *self.anchors.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(anchors);
    }

    /// The root of an organisation, if it is admitted.
    pub fn anchor(&self, organisation: OrganisationId) -> Option<Arc<Anchor>> {
        self.anchors
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&organisation)
            .cloned()
    }
}

/// The node's verifier of client certificates.
#[derive(Debug)]
pub struct Admission {
    organisations: Arc<Organisations>,
    mandatory: bool,
}

impl Admission {
    /// `mandatory`: no connection without a certificate, as `telerelay/1` wants it; the API goes on without one.
    pub fn new(organisations: Arc<Organisations>, mandatory: bool) -> Self {
        Self {
            organisations,
            mandatory,
        }
    }

    fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Refusal> {
        let chain: Vec<CertificateDer<'_>> =
            [leaf].into_iter().chain(others).map(borrowed).collect();
        let identity = Identity::of(&chain)?;
        let anchor = self
            .organisations
            .anchor(identity.organisation)
            .ok_or(Refusal::NotAdmitted)?;
        anchor.verify(leaf, others, now, identity.role.usage())
    }
}

/// The same certificate without a copy of its bytes.
pub(super) fn borrowed<'a>(certificate: &'a CertificateDer<'_>) -> CertificateDer<'a> {
    CertificateDer::from(certificate.as_ref())
}

impl ClientCertVerifier for Admission {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    /// None: a list would name the tenants, and 1,700 names do not fit.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.verify(end_entity, intermediates, now)?;
        Ok(ClientCertVerified::assertion())
    }

    tls13_signatures!();
}
