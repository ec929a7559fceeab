//! Who is at the other end: what certificates say, and which of them are believed (PROTOCOL.md §3).
mod admission;
mod anchor;
mod ends;
mod identity;
mod pins;
#[cfg(test)]
mod tests;

pub use admission::{Admission, Organisations};
pub use anchor::{Anchor, InvalidAnchor};
pub use ends::Revoked;
pub(crate) use ends::{AgentVerifier, ClientVerifier};
pub use identity::{Certified, Identity};
pub(crate) use pins::NodeVerifier;
pub use pins::Pins;

use std::sync::Arc;

use rustls::{CertificateError, OtherError};
use webpki::Error as PathError;

/// Why a chain is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Refusal {
    /// No organisation of that root key is admitted here.
    #[error("the organisation is not admitted")]
    NotAdmitted,
    /// It is not of the profile of PROTOCOL.md §3: number of certificates, key usages, names, key identifiers.
    #[error("the certificates are not of this system's profile")]
    Profile,
    /// It does not lead to the one root it must lead to.
    #[error("the chain does not lead to the expected root")]
    Chain,
    /// A certificate of the chain is past its end.
    #[error("a certificate has expired")]
    Expired,
    /// A certificate of the chain is not valid yet.
    #[error("a certificate is not valid yet")]
    NotYetValid,
    /// The last certificate of a node's chain is not one of the two pinned keys, or the name is another node's.
    #[error("the node is not of the cluster that was pinned")]
    Pin,
    /// The other end of inner TLS is not the computer, or not the device, that was claimed.
    #[error("the other end is not who it must be")]
    Identity,
    /// The other end of inner TLS stands in the revocation list.
    #[error("the device was revoked")]
    Revoked,
}

impl Refusal {
    /// The refusal that ended a handshake, if a verifier of this crate ended it.
    pub fn of(error: &rustls::Error) -> Option<Self> {
        match error {
            rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
                Some(Self::NotAdmitted)
            }
            rustls::Error::InvalidCertificate(CertificateError::Expired) => Some(Self::Expired),
            rustls::Error::InvalidCertificate(CertificateError::NotValidYet) => {
                Some(Self::NotYetValid)
            }
            rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(other))) => {
                other.downcast_ref::<Self>().copied()
            }
            _ => None,
        }
    }
}

/// The choice of the variant is the choice of the alert: `unknown_ca`, `certificate_expired`, `certificate_unknown`.
impl From<Refusal> for rustls::Error {
    fn from(refusal: Refusal) -> Self {
        Self::InvalidCertificate(match refusal {
            Refusal::NotAdmitted => CertificateError::UnknownIssuer,
            Refusal::Expired => CertificateError::Expired,
            Refusal::NotYetValid => CertificateError::NotValidYet,
            other => CertificateError::Other(OtherError(Arc::new(other))),
        })
    }
}

impl From<PathError> for Refusal {
    fn from(error: PathError) -> Self {
        match error {
            PathError::CertExpired { .. } => Self::Expired,
            PathError::CertNotValidYet { .. } => Self::NotYetValid,
            _ => Self::Chain,
        }
    }
}

/// The parts of a rustls verifier that all verifiers here share: handshake signatures by P-256 only, no TLS 1.2.
macro_rules! tls13_signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            _message: &[u8],
            _certificate: &rustls::pki_types::CertificateDer<'_>,
            _signature: &rustls::DigitallySignedStruct,
        ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
            Err(rustls::PeerIncompatible::ServerDoesNotSupportTls12Or13.into())
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &rustls::pki_types::CertificateDer<'_>,
            signature: &rustls::DigitallySignedStruct,
        ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
            rustls::crypto::verify_tls13_signature(
                message,
                certificate,
                signature,
                &crate::crypto::SIGNATURES,
            )
        }

        fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
            crate::crypto::SIGNATURES.supported_schemes()
        }
    };
}
use tls13_signatures;
