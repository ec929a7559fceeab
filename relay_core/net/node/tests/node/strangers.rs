//! Who does not get as far as HELLO, and what they learn of who else is here.
use std::io::Write;
use std::sync::{Arc, Mutex};

use rustls::client::ResolvesClientCert;
use rustls::pki_types::ServerName;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ClientConnection, SignatureScheme};
use telerelay_leg::trust::Anchor;
use telerelay_mint::{Minted, Organisation};
use telerelay_node::Standing;
use telerelay_wire::ids::Role;
use telerelay_wire::{Code, limits};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::credulous::Credulous;
use crate::kit::{COMPUTER, World};

#[tokio::test]
async fn seventeen_hundred_organisations_and_two_hundred_of_one_name() {
    let world = World::new();
    let organisations: Vec<Organisation> = (0..1_700)
        .map(|number| match number {
            0..200 => Organisation::new("city"),
            _ => Organisation::new(&format!("city {number}")),
        })
        .collect();
    let admitted = organisations.iter().map(|one| {
        (
            Anchor::from_der(one.root_der()).unwrap(),
            Standing::Admitted,
        )
    });
    world
        .node
        .set_snapshot(admitted.collect(), [].into(), [].into(), [].into(), 0);
    for number in [0, 1, 199, 200, 850, 1_699] {
        let mut agent = world.dial(&organisations[number].agent(COMPUTER)).await;
        agent.hello(Role::Agent).await;
        agent.welcome().await;
    }
    // A leaf of one 'city' under the issuer of another.
    let (one, two) = (organisations[0].client(), organisations[1].client());
    let swapped = Minted {
        chain: vec![one.chain[0].clone(), two.chain[1].clone()],
        chain_pem: swap_pem(&one.chain_pem, &two.chain_pem),
        ..one
    };
    let mut stranger = world.dial(&swapped).await;
    assert_eq!(stranger.refused_by_tls().await.code(), Code::Certificate);
    world.until("handshakes_failed.certificate", 1).await;
    // The organisation that the world began with is not among them.
    let mut stranger = world.dial(&world.organisation.client()).await;
    assert_eq!(stranger.refused_by_tls().await.code(), Code::Certificate);
    world.until("handshakes_failed.not_admitted", 1).await;
}

fn swap_pem(leaf: &str, issuer: &str) -> String {
    const END: &str = "-----END CERTIFICATE-----";
    let end = |pem: &str| pem.find(END).unwrap() + END.len();
    format!(
        "{}\n{}",
        &leaf[..end(leaf)],
        &issuer[end(issuer)..].trim_start()
    )
}

/// A client that notes what CertificateRequest asks for, and sends no certificate.
#[derive(Debug, Default)]
struct Curious {
    authorities: Mutex<Option<usize>>,
}

impl ResolvesClientCert for Curious {
    fn resolve(&self, hints: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        *self.authorities.lock().unwrap() = Some(hints.len());
        None
    }

    fn has_certs(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn the_nodes_flight_names_no_tenant() {
    let world = World::new();
    let address = world.addresses[0].to_string();
    for alpn in [&b"telerelay/1"[..], b"http/1.1"] {
        let curious = Arc::new(Curious::default());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Credulous))
            .with_client_cert_resolver(curious.clone());
        config.alpn_protocols = vec![alpn.to_vec()];
        let name = ServerName::try_from("node-1").unwrap();
        let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let address = address.clone();
        let handshake = tokio::task::spawn_blocking(move || {
            let mut socket = std::net::TcpStream::connect(address).unwrap();
            while connection.is_handshaking() {
                connection.complete_io(&mut socket).unwrap();
            }
            socket.flush().unwrap();
        });
        handshake.await.unwrap();
        assert_eq!(
            *curious.authorities.lock().unwrap(),
            Some(0),
            "asked, and nobody named"
        );
    }
    world.until("handshakes_failed.no_certificate", 1).await;
}

#[tokio::test]
async fn a_stranger_who_says_nothing_is_gone_after_three_seconds() {
    let world = World::new();
    let began = Instant::now();
    let mut silent = TcpStream::connect(world.addresses[0].as_str())
        .await
        .unwrap();
    assert_eq!(silent.read(&mut [0; 16]).await.unwrap(), 0);
    assert!(began.elapsed() >= limits::CLIENT_HELLO);
    world.until("handshakes_failed.hello_late", 1).await;
    world.until("connections", 0).await;
}

#[tokio::test]
async fn a_leg_without_hello_is_told_to_try_later_after_five_seconds() {
    let world = World::new();
    let mut agent = world.dial(&world.organisation.agent(COMPUTER)).await;
    let began = Instant::now();
    assert_eq!(agent.error().await.code, Code::TryLater);
    assert!(began.elapsed() + std::time::Duration::from_millis(100) >= limits::FIRST_FRAME);
}
