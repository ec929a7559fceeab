//! One root certificate that chains may lead to.
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use sha2::{Digest, Sha256};
use telerelay_wire::ids::OrganisationId;
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::Refusal;
use crate::crypto::SIGNATURES;

/// The bytes are not one X.509 certificate that can be a root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a certificate that can be a root")]
pub struct InvalidAnchor;

/// A root: the key that chains lead to, and its hash.
#[derive(Debug)]
pub struct Anchor {
    id: OrganisationId,
    trust: TrustAnchor<'static>,
}

impl Anchor {
    /// Takes a root certificate, DER.
    pub fn from_der(der: &[u8]) -> Result<Self, InvalidAnchor> {
        let id = OrganisationId(spki_hash(der).ok_or(InvalidAnchor)?);
        let der = CertificateDer::from(der);
        let trust = anchor_from_trusted_cert(&der)
            .map_err(|_| InvalidAnchor)?
            .to_owned();
        Ok(Self { id, trust })
    }

    /// SHA-256 of the root key's `SubjectPublicKeyInfo` (PROTOCOL.md §2).
    pub fn id(&self) -> OrganisationId {
        self.id
    }

    /// Builds the chain from `leaf` to this root and no other.
    pub(super) fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
        usage: KeyUsage,
    ) -> Result<(), Refusal> {
        EndEntityCert::try_from(leaf)?.verify_for_usage(
            SIGNATURES.all,
            std::slice::from_ref(&self.trust),
            intermediates,
            now,
            usage,
            None,
            None,
        )?;
        Ok(())
    }
}

/// SHA-256 of a certificate's `SubjectPublicKeyInfo`, DER; `None` where it is not a certificate.
pub(super) fn spki_hash(der: &[u8]) -> Option<[u8; 32]> {
    let (rest, certificate) = X509Certificate::from_der(der).ok()?;
    rest.is_empty().then(|| hash_of(&certificate))
}

/// SHA-256 of the `SubjectPublicKeyInfo` of a certificate that was parsed.
pub(super) fn hash_of(certificate: &X509Certificate<'_>) -> [u8; 32] {
    Sha256::digest(certificate.public_key().raw).into()
}
