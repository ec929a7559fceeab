//! Who is let in, by whom, and with which words everybody else is turned away.
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use telerelay_mint::{Minted, Organisation, Usage};

use super::{Admission, Anchor, Certified, Identity, Organisations, Refusal, Revoked};
use crate::config::{inner_client, inner_server};
use crate::fixture::{COMPUTER, Fixture, anchor, credentials};
use crate::tls::{Progress, Tls, TlsError};

fn admit(organisations: &[&Organisation]) -> Admission {
    let admitted = Organisations::default();
    admitted.replace(organisations.iter().map(|one| Arc::new(anchor(one))));
    Admission::new(Arc::new(admitted), true)
}

fn verify(admission: &Admission, chain: &[CertificateDer<'_>]) -> Result<Identity, Refusal> {
    let (leaf, others) = chain.split_first().unwrap();
    match admission.verify_client_cert(leaf, others, UnixTime::now()) {
        Ok(_) => Identity::of(chain),
        Err(error) => Err(Refusal::of(&error).unwrap()),
    }
}

fn chain(minted: &Minted) -> Vec<CertificateDer<'static>> {
    minted
        .chain
        .iter()
        .cloned()
        .map(CertificateDer::from)
        .collect()
}

#[test]
fn a_certificate_says_who_one_is() {
    let organisation = Organisation::new("organisation");
    let admission = admit(&[&organisation]);
    let cases = [
        (
            organisation.agent(COMPUTER),
            Certified::Agent,
            Some(COMPUTER),
        ),
        (organisation.client(), Certified::Client, None),
        (organisation.role("admin"), Certified::Admin, None),
        (organisation.role("keeper"), Certified::Keeper, None),
    ];
    for (minted, role, computer) in cases {
        let identity = verify(&admission, &chain(&minted)).unwrap();
        let expected = Identity {
            organisation: organisation.id(),
            device: minted.device,
            role,
            computer,
        };
        assert_eq!(identity, expected);
    }
}

#[test]
fn what_the_profile_does_not_know_is_refused() {
    let organisation = Organisation::new("organisation");
    let admission = admit(&[&organisation]);
    let computer = format!("telerelay-computer:{COMPUTER}");
    let sloppy = computer.to_lowercase();
    let cases = [
        ("a signer of documents", organisation.role("policy")),
        ("no usage", organisation.odd(Some(&[&computer]), None)),
        (
            "an agent without computer",
            organisation.odd(None, Some(Usage::ServerAuth)),
        ),
        (
            "a client with a computer",
            organisation.odd(Some(&[&computer]), Some(Usage::ClientAuth)),
        ),
        (
            "two computers",
            organisation.odd(Some(&[&computer, &computer]), Some(Usage::ServerAuth)),
        ),
        (
            "another spelling",
            organisation.odd(Some(&[&sloppy]), Some(Usage::ServerAuth)),
        ),
        (
            "a role under the issuer",
            organisation.odd(Some(&["telerelay-role:admin"]), Some(Usage::ClientAuth)),
        ),
        (
            "another usage",
            organisation.odd(None, Some(Usage::CodeSigning)),
        ),
    ];
    for (what, minted) in cases {
        assert_eq!(
            verify(&admission, &chain(&minted)),
            Err(Refusal::Profile),
            "{what}"
        );
    }
    let device = chain(&organisation.client());
    assert_eq!(
        verify(&admission, &device[..1]),
        Err(Refusal::Profile),
        "a device without its issuer"
    );
    let three = [
        &device[..],
        &[CertificateDer::from(organisation.root_der().to_vec())],
    ]
    .concat();
    assert_eq!(
        verify(&admission, &three),
        Err(Refusal::Profile),
        "with the root"
    );
    assert_eq!(
        verify(&admission, &chain(&organisation.expired_client())),
        Err(Refusal::Expired)
    );
}

#[test]
fn an_organisation_is_its_key_and_never_its_name() {
    let (one, two) = (Organisation::new("city"), Organisation::new("city"));
    let only_one = admit(&[&one]);
    assert_eq!(
        verify(&only_one, &chain(&two.client())),
        Err(Refusal::NotAdmitted)
    );
    let both = admit(&[&one, &two]);
    assert_eq!(
        verify(&both, &chain(&two.client())).unwrap().organisation,
        two.id()
    );
    let [leaf, _] = &chain(&one.client())[..] else {
        panic!("two certificates")
    };
    let [_, issuer] = &chain(&two.client())[..] else {
        panic!("two certificates")
    };
    let swapped = [leaf.clone(), issuer.clone()];
    assert_eq!(
        verify(&both, &swapped),
        Err(Refusal::Chain),
        "a leaf under another's issuer"
    );
}

#[test]
fn a_root_that_is_taken_away_lets_nobody_in() {
    let organisation = Organisation::new("organisation");
    let organisations = Arc::new(Organisations::default());
    let admission = Admission::new(organisations.clone(), true);
    let device = chain(&organisation.client());
    assert_eq!(verify(&admission, &device), Err(Refusal::NotAdmitted));
    organisations.replace([Arc::new(anchor(&organisation))]);
    assert!(verify(&admission, &device).is_ok());
    organisations.replace([]);
    assert_eq!(verify(&admission, &device), Err(Refusal::NotAdmitted));
}

#[test]
fn bytes_that_are_no_certificate_are_no_root() {
    assert!(Anchor::from_der(b"").is_err());
    let root = Organisation::new("organisation").root_der().to_vec();
    assert!(Anchor::from_der(&root[..root.len() - 1]).is_err());
    assert!(Anchor::from_der(&[&root[..], b"\0"].concat()).is_err());
}

/// Runs a handshake; what it ended with at the end that verified.
fn outer(endpoint: &mut Tls, node: &mut Tls) -> (Result<(), TlsError>, Result<(), TlsError>) {
    let mut ended = (Ok(()), Ok(()));
    loop {
        let moved =
            hand_over(endpoint, node, &mut ended.1) + hand_over(node, endpoint, &mut ended.0);
        if moved == 0 {
            return ended;
        }
    }
}

fn hand_over(from: &mut Tls, to: &mut Tls, ended: &mut Result<(), TlsError>) -> usize {
    let length = from.outgoing().len();
    to.read_buffer(length).extend_from_slice(from.outgoing());
    from.sent(length);
    while ended.is_ok() {
        match to.read_record(|_| {}) {
            Ok(Progress::Starved) => break,
            Ok(_) => {}
            Err(error) => *ended = Err(error),
        }
    }
    length
}

#[test]
fn a_stranger_reads_unknown_ca() {
    let fixture = Fixture::new();
    let (mut stranger, mut node) = fixture.ends(&Organisation::new("organisation").client());
    let (at_stranger, at_node) = outer(&mut stranger, &mut node);
    let Err(TlsError::Peer(refused)) = at_node else {
        panic!("{at_node:?}")
    };
    assert_eq!(Refusal::of(&refused), Some(Refusal::NotAdmitted));
    let alert = rustls::Error::AlertReceived(rustls::AlertDescription::UnknownCA);
    assert_eq!(at_stranger, Err(TlsError::Peer(alert)));
}

#[test]
fn a_node_of_another_cluster_or_name_is_refused_by_its_pin() {
    let fixture = Fixture::new();
    let agent = fixture.organisation.agent(COMPUTER);
    let others: [(&str, Minted); 2] = [
        (
            "another cluster",
            telerelay_mint::Cluster::new().node(&"node-1".parse().unwrap()),
        ),
        (
            "another name",
            fixture.cluster.node(&"node-2".parse().unwrap()),
        ),
    ];
    for (what, minted) in others {
        let configs =
            crate::config::NodeConfigs::new(&credentials(&minted), &fixture.organisations);
        let (mut endpoint, _) = fixture.ends(&agent);
        let mut node =
            Tls::server(configs.unwrap().of(crate::config::Language::Telerelay)).unwrap();
        let (at_endpoint, _) = outer(&mut endpoint, &mut node);
        let Err(TlsError::Peer(refused)) = at_endpoint else {
            panic!("{what}: {at_endpoint:?}")
        };
        assert_eq!(Refusal::of(&refused), Some(Refusal::Pin), "{what}");
        assert_eq!(
            TlsError::Peer(refused).code(),
            telerelay_wire::Code::Pin,
            "{what}"
        );
    }
}

/// Runs inner TLS of a client and an agent: how each end saw it, and the group.
fn inner(
    mut client: rustls::ClientConnection,
    mut agent: rustls::ServerConnection,
) -> (
    Result<(), rustls::Error>,
    Result<(), rustls::Error>,
    Option<rustls::NamedGroup>,
) {
    let mut at_client = Ok(());
    let mut at_agent = Ok(());
    loop {
        let (mut up, mut down) = (Vec::new(), Vec::new());
        client.write_tls(&mut up).unwrap();
        agent.read_tls(&mut up.as_slice()).unwrap();
        at_agent = at_agent.and(agent.process_new_packets().map(|_| ()));
        agent.write_tls(&mut down).unwrap();
        client.read_tls(&mut down.as_slice()).unwrap();
        at_client = at_client.and(client.process_new_packets().map(|_| ()));
        if up.is_empty() && down.is_empty() {
            let group = agent
                .negotiated_key_exchange_group()
                .map(rustls::crypto::SupportedKxGroup::name);
            return (at_client, at_agent, group);
        }
    }
}

struct Inner {
    organisation: Organisation,
    root: Arc<Anchor>,
    revoked: Arc<Revoked>,
    client: Minted,
    agent: Minted,
}

impl Inner {
    fn new() -> Self {
        let organisation = Organisation::new("organisation");
        Self {
            root: Arc::new(anchor(&organisation)),
            revoked: Arc::default(),
            client: organisation.client(),
            agent: organisation.agent(COMPUTER),
            organisation,
        }
    }

    fn client(&self, minted: &Minted) -> rustls::ClientConnection {
        inner_client(&credentials(minted), self.root.clone(), COMPUTER).unwrap()
    }

    fn agent(&self, minted: &Minted) -> rustls::ServerConnection {
        let device = self.client.device;
        inner_server(
            &credentials(minted),
            self.root.clone(),
            device,
            self.revoked.clone(),
        )
        .unwrap()
    }
}

#[test]
fn agent_and_client_of_one_organisation_meet_in_the_hybrid_group() {
    let inner_tls = Inner::new();
    let met = inner(
        inner_tls.client(&inner_tls.client),
        inner_tls.agent(&inner_tls.agent),
    );
    assert_eq!(
        met,
        (Ok(()), Ok(()), Some(rustls::NamedGroup::X25519MLKEM768))
    );
}

#[test]
fn a_client_insists_on_the_computer_and_on_its_own_organisation() {
    let inner_tls = Inner::new();
    let mut other = COMPUTER;
    other.0[9] ^= 1;
    let stranger = Organisation::new("organisation");
    let cases = [
        ("another computer", inner_tls.organisation.agent(other)),
        (
            "a client that poses as an agent",
            inner_tls.organisation.client(),
        ),
        ("an agent of another organisation", stranger.agent(COMPUTER)),
    ];
    for (what, minted) in cases {
        let (at_client, _, _) = inner(
            inner_tls.client(&inner_tls.client),
            inner_tls.agent(&minted),
        );
        assert_eq!(
            Refusal::of(&at_client.unwrap_err()),
            Some(Refusal::Identity),
            "{what}"
        );
    }
}

#[test]
fn an_agent_insists_on_the_device_that_was_claimed() {
    let inner_tls = Inner::new();
    let stranger = Organisation::new("organisation");
    let cases = [
        ("another device", inner_tls.organisation.client()),
        (
            "an agent that poses as a client",
            inner_tls.organisation.agent(COMPUTER),
        ),
        ("a client of another organisation", stranger.client()),
    ];
    for (what, minted) in cases {
        let (_, at_agent, _) = inner(inner_tls.client(&minted), inner_tls.agent(&inner_tls.agent));
        assert_eq!(
            Refusal::of(&at_agent.unwrap_err()),
            Some(Refusal::Identity),
            "{what}"
        );
    }
    inner_tls.revoked.replace([inner_tls.client.device]);
    let (_, at_agent, _) = inner(
        inner_tls.client(&inner_tls.client),
        inner_tls.agent(&inner_tls.agent),
    );
    assert_eq!(Refusal::of(&at_agent.unwrap_err()), Some(Refusal::Revoked));
}

#[test]
fn a_full_record_of_inner_tls_is_one_full_path_frame() {
    use std::io::Write;

    let inner_tls = Inner::new();
    let mut client = inner_tls.client(&inner_tls.client);
    let mut agent = inner_tls.agent(&inner_tls.agent);
    while client.is_handshaking() || agent.is_handshaking() {
        let (mut up, mut down) = (Vec::new(), Vec::new());
        client.write_tls(&mut up).unwrap();
        agent.read_tls(&mut up.as_slice()).unwrap();
        agent.process_new_packets().unwrap();
        agent.write_tls(&mut down).unwrap();
        client.read_tls(&mut down.as_slice()).unwrap();
        client.process_new_packets().unwrap();
    }
    client
        .writer()
        .write_all(&[0; crate::config::INNER_PLAINTEXT + 1])
        .unwrap();
    let mut records = Vec::new();
    client.write_tls(&mut records).unwrap();
    let first = 5 + usize::from(u16::from_be_bytes([records[3], records[4]]));
    assert_eq!(first, usize::from(telerelay_wire::outer::PATH_MAXIMUM));
}
