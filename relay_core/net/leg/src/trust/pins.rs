//! How an endpoint verifies a node: by the pinned key of the cluster and the node's name (PROTOCOL.md §3.3).
use rustls::client::danger::{ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use webpki::KeyUsage;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{Anchor, Refusal, tls13_signatures};

const NODE: &str = "telerelay-node:";

/// SHA-256 of the `SubjectPublicKeyInfo` of the cluster CA's key and of its offline successor's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pins(pub [[u8; 32]; 2]);

/// The endpoint's verifier of nodes.
#[derive(Debug)]
pub(crate) struct NodeVerifier {
    pins: Pins,
}

impl NodeVerifier {
    pub(crate) fn new(pins: Pins) -> Self {
        Self { pins }
    }

    fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Refusal> {
        let (authority, between) = others.split_last().ok_or(Refusal::Pin)?;
        let anchor = Anchor::from_der(authority).map_err(|_| Refusal::Pin)?;
        if !self.pins.0.contains(anchor.id().as_bytes()) {
            return Err(Refusal::Pin);
        }
        anchor.verify(leaf, between, now, KeyUsage::server_auth())?;
        if names_node(leaf, &name.to_str()) {
            Ok(())
        } else {
            Err(Refusal::Pin)
        }
    }
}

fn names_node(leaf: &CertificateDer<'_>, name: &str) -> bool {
    let Ok((_, leaf)) = X509Certificate::from_der(leaf) else {
        return false;
    };
    let Ok(Some(names)) = leaf.subject_alternative_name() else {
        return false;
    };
    names.value.general_names.iter().any(|entry| match entry {
        GeneralName::URI(uri) => uri.strip_prefix(NODE) == Some(name),
        _ => false,
    })
}

impl ServerCertVerifier for NodeVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.verify(end_entity, intermediates, server_name, now)?;
        Ok(ServerCertVerified::assertion())
    }

    tls13_signatures!();
}
