//! The proof of RESUME: who resumes held the session's first inner TLS and holds the new one (PROTOCOL.md §8.4).
use core::fmt;

use hmac::{Hmac, Mac};
use sha2::Sha256;
use telerelay_wire::ids::{Proof, SessionId};
use zeroize::Zeroizing;

/// `exporter("EXPORTER-telerelay-resume", no context, 32 bytes)` of a session's first inner TLS. Wiped when dropped.
pub struct ResumeSecret(Zeroizing<[u8; 32]>);

impl ResumeSecret {
    /// Takes what the exporter gave.
    pub fn new(exported: [u8; 32]) -> Self {
        Self(Zeroizing::new(exported))
    }
}

impl fmt::Debug for ResumeSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResumeSecret")
    }
}

/// `exporter("EXPORTER-telerelay-path", no context, 32 bytes)` of a new path's inner TLS: both ends have the same only
/// where nobody stands between them.
#[derive(Clone, PartialEq, Eq)]
pub struct PathExporter(pub [u8; 32]);

impl fmt::Debug for PathExporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PathExporter")
    }
}

/// What a proof is about.
#[derive(Debug)]
pub(crate) struct Claim<'a> {
    pub(crate) exporter: &'a PathExporter,
    pub(crate) session: SessionId,
    pub(crate) generation: u32,
    pub(crate) received: u64,
}

impl Claim<'_> {
    pub(crate) fn prove(&self, secret: &ResumeSecret) -> Proof {
        Proof(self.mac(secret).finalize().into_bytes().into())
    }

    /// Compares in constant time.
    pub(crate) fn is_proven(&self, secret: &ResumeSecret, proof: &Proof) -> bool {
        self.mac(secret).verify_slice(&proof.0).is_ok()
    }

    fn mac(&self, secret: &ResumeSecret) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&secret.0[..])
            .expect("HMAC takes a key of every length");
        mac.update(&self.exporter.0);
        mac.update(self.session.as_bytes());
        mac.update(&self.generation.to_be_bytes());
        mac.update(&self.received.to_be_bytes());
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proof_is_hmac_over_the_fields_in_their_order() {
        let secret = ResumeSecret::new([1; 32]);
        let exporter = PathExporter([2; 32]);
        let claim = Claim {
            exporter: &exporter,
            session: SessionId([3; 16]),
            generation: 4,
            received: 5,
        };
        // Python: hmac.digest(b'\1'*32, b'\2'*32 + b'\3'*16 + (4).to_bytes(4) + (5).to_bytes(8), 'sha256').hex()
        let expected = "8568ad32e20f2f90dd35bbc2f815152b9e5fb21bb8ad6a0ca4abc0d2f27b4bba";
        assert_eq!(claim.prove(&secret).to_string(), expected);
    }

    #[test]
    fn every_field_is_bound() {
        let (secret, exporter) = (ResumeSecret::new([1; 32]), PathExporter([2; 32]));
        let session = SessionId([3; 16]);
        let proof = Claim {
            exporter: &exporter,
            session,
            generation: 4,
            received: 5,
        }
        .prove(&secret);
        let holds =
            |exporter: &PathExporter, session, generation, received, secret: &ResumeSecret| {
                Claim {
                    exporter,
                    session,
                    generation,
                    received,
                }
                .is_proven(secret, &proof)
            };
        assert!(holds(&exporter, session, 4, 5, &secret));
        assert!(!holds(&PathExporter([9; 32]), session, 4, 5, &secret));
        assert!(!holds(&exporter, SessionId([9; 16]), 4, 5, &secret));
        assert!(!holds(&exporter, session, 5, 5, &secret));
        assert!(!holds(&exporter, session, 4, 6, &secret));
        assert!(!holds(
            &exporter,
            session,
            4,
            5,
            &ResumeSecret::new([9; 32])
        ));
    }

    #[test]
    fn secrets_do_not_show_themselves() {
        let shown = format!(
            "{:?} {:?}",
            ResumeSecret::new([0xab; 32]),
            PathExporter([0xab; 32])
        );
        assert_eq!(shown, "ResumeSecret PathExporter");
    }
}
