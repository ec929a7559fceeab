//! What a stranger can say to a node before anybody knows him: his first flight of TLS, and his certificates.
use std::sync::{Arc, OnceLock};

use rustls_pki_types::CertificateDer;
use telerelay_leg::config::{Language, NodeConfigs};
use telerelay_leg::credentials::Credentials;
use telerelay_leg::tls::{Progress, Tls};
use telerelay_leg::trust::{Anchor, Identity, Organisations};
use telerelay_mint::Cluster;

/// What comes to a node's port, as outer TLS takes it (PROTOCOL.md §1.1, §1.2).
pub fn hello(input: &[u8]) {
    let whole = read(input, input.len());
    for size in [1, 7] {
        assert_eq!(read(input, size), whole, "TLS depends on how it comes");
    }
}

/// How each record was taken, and what ended the connection.
fn read(input: &[u8], size: usize) -> (Vec<Progress>, Option<String>) {
    let mut tls = Tls::server(node().of(Language::Telerelay)).expect("a connection");
    let mut taken = Vec::new();
    for piece in input.chunks(size.max(1)) {
        tls.read_buffer(piece.len()).extend_from_slice(piece);
        loop {
            match tls.read_record(|_| panic!("a stranger has said something")) {
                Ok(Progress::Starved) => break,
                Ok(progress) => taken.push(progress),
                Err(error) => return (taken, Some(error.to_string())),
            }
        }
        assert!(tls.peer_chain().is_empty(), "a stranger is known");
    }
    (taken, None)
}

fn node() -> &'static NodeConfigs {
    static NODE: OnceLock<NodeConfigs> = OnceLock::new();
    NODE.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let name = "node-1".parse().expect("a name");
        let (chain, key) = Cluster::new().node(&name).write(folder.path(), "node");
        let credentials = Credentials::read(&chain, &key).expect("credentials");
        NodeConfigs::new(&credentials, &Arc::new(Organisations::default())).expect("a node")
    })
}

/// What stands in a chain or in a root, before or after somebody judged it (PROTOCOL.md §2.3, §3).
pub fn certificates(input: &[u8]) {
    // A root that was taken once is the same organisation every time.
    if let Ok(anchor) = Anchor::from_der(input) {
        let again = Anchor::from_der(input).map(|anchor| anchor.id());
        assert_eq!(again.ok(), Some(anchor.id()));
    }
    let leaf = CertificateDer::from(input);
    for chain in [vec![leaf.clone()], vec![leaf.clone(), leaf], pair(input)] {
        assert_eq!(Identity::of(&chain), Identity::of(&chain));
    }
}

/// Leaf and issuer: the first two bytes say how long the leaf is.
fn pair(input: &[u8]) -> Vec<CertificateDer<'_>> {
    let Some((length, rest)) = input.split_first_chunk() else {
        return Vec::new();
    };
    let length = usize::from(u16::from_be_bytes(*length)).min(rest.len());
    let (leaf, issuer) = rest.split_at(length);
    vec![CertificateDer::from(leaf), CertificateDer::from(issuer)]
}
