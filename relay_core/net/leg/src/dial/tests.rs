//! Dialling and accepting over real sockets: who gets through, what is tried next, what a refusal is called.
use std::future::ready;

use rustls::NamedGroup;
use telerelay_mint::Organisation;
use telerelay_wire::Code;
use telerelay_wire::ids::{Address, NodeAddress, NodeName};
use telerelay_wire::limits::DIAL_ADDRESS;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{DialError, Dialer};
use crate::accept::{AcceptError, Accepted, accept};
use crate::config::{Language, server_name};
use crate::fixture::{COMPUTER, Fixture, credentials, node_name};
use crate::socket::listen;
use crate::trust::{Certified, Refusal};

fn listener(address: &str) -> (TcpListener, Address) {
    let listener = TcpListener::from_std(listen(address.parse().unwrap()).unwrap()).unwrap();
    let bound = listener.local_addr().unwrap().to_string();
    (listener, Address::try_from(bound).unwrap())
}

async fn accept_one(
    listener: &TcpListener,
    fixture: &Fixture,
) -> (TcpStream, Result<Accepted, AcceptError>) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let accepted = accept(&mut stream, &fixture.configs, ready(true)).await;
    (stream, accepted)
}

fn dialer(fixture: &Fixture, language: Language) -> Dialer {
    let agent = credentials(&fixture.organisation.agent(COMPUTER));
    Dialer::new(fixture.pins(), Some(&agent), language).unwrap()
}

#[tokio::test]
async fn both_languages_meet_on_both_families() {
    let fixture = Fixture::new();
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let (listener, bound) = listener(address);
        for language in [Language::Telerelay, Language::Http] {
            let dialer = dialer(&fixture, language);
            let name = node_name();
            let (dialled, (_, accepted)) = tokio::join!(
                dialer.connect(&name, &bound),
                accept_one(&listener, &fixture)
            );
            let (_, tls) = dialled.unwrap();
            assert_eq!(tls.alpn(), Some(language.alpn()));
            assert_eq!(tls.group(), Some(NamedGroup::X25519MLKEM768));
            let accepted = accepted.unwrap();
            assert_eq!(accepted.language, language);
            let identity = accepted.identity.unwrap();
            assert_eq!(identity.role, Certified::Agent);
            assert_eq!(identity.organisation, fixture.organisation.id());
        }
    }
}

#[tokio::test]
async fn a_dial_comes_from_the_address_that_it_was_given() {
    let fixture = Fixture::new();
    let (listener, bound) = listener("127.0.0.1:0");
    let source = [127, 0, 0, 7].into();
    let dialer = dialer(&fixture, Language::Telerelay).from_source(Some(source));
    let name = node_name();
    let (dialled, (stream, _)) = tokio::join!(
        dialer.connect(&name, &bound),
        accept_one(&listener, &fixture)
    );
    dialled.unwrap();
    assert_eq!(stream.peer_addr().unwrap().ip(), source);
}

#[tokio::test]
async fn only_the_api_goes_on_without_a_certificate() {
    let fixture = Fixture::new();
    let (listener, bound) = listener("127.0.0.1:0");
    let name = node_name();
    for language in [Language::Telerelay, Language::Http] {
        let dialer = Dialer::new(fixture.pins(), None, language).unwrap();
        let (_dialled, (_, accepted)) = tokio::join!(
            dialer.connect(&name, &bound),
            accept_one(&listener, &fixture)
        );
        match (language, accepted) {
            (Language::Telerelay, Err(AcceptError::NoCertificate)) => {}
            (Language::Http, Ok(accepted)) => assert_eq!(accepted.identity, None),
            (language, accepted) => panic!("{language:?}: {:?}", accepted.map(|_| ())),
        }
    }
}

#[tokio::test]
async fn a_stranger_learns_that_its_certificate_was_refused() {
    let fixture = Fixture::new();
    let (listener, bound) = listener("127.0.0.1:0");
    let stranger = credentials(&Organisation::new("organisation").client());
    let dialer = Dialer::new(fixture.pins(), Some(&stranger), Language::Telerelay).unwrap();
    let name = node_name();
    let endpoint = async {
        let (mut stream, mut tls) = dialer.connect(&name, &bound).await.unwrap();
        // It speaks on, as endpoints do, and still reads the alert.
        tls.write(&[0; 16_384]).unwrap();
        stream.write_all(tls.outgoing()).await.unwrap();
        while stream.read_buf(tls.read_buffer(4096)).await.unwrap() > 0 {}
        tls.read_record(|_| {}).unwrap_err()
    };
    let (told, (_, accepted)) = tokio::join!(endpoint, accept_one(&listener, &fixture));
    assert_eq!(told.code(), Code::Certificate);
    let Err(error) = accepted else {
        panic!("let in")
    };
    assert!(
        matches!(error, AcceptError::Refused(Refusal::NotAdmitted)),
        "{error}"
    );
    assert_eq!(error.name(), "not_admitted");
}

#[tokio::test]
async fn a_node_without_time_is_busy_and_the_next_one_is_dialled() {
    let fixture = Fixture::new();
    let (listener, bound) = listener("127.0.0.1:0");
    let dialer = dialer(&fixture, Language::Telerelay);
    let node = NodeAddress {
        name: node_name(),
        addresses: vec![bound.clone(), bound].try_into().unwrap(),
    };
    let refuse = async |may_begin| {
        let (mut stream, _) = listener.accept().await.unwrap();
        accept(&mut stream, &fixture.configs, ready(may_begin)).await
    };
    let twice = async { (refuse(false).await, refuse(false).await) };
    let nodes = [node];
    let (dialled, refused) = tokio::join!(dialer.connect_any(&nodes), twice);
    assert_eq!(dialled.map(|_| ()).unwrap_err().code(), Code::Busy);
    assert!(matches!(
        refused,
        (Err(AcceptError::Busy), Err(AcceptError::Busy))
    ));
    let (dialled, _) = tokio::join!(dialer.connect_any(&nodes), async {
        drop(refuse(false).await);
        refuse(true).await
    });
    dialled.unwrap();
    assert_eq!(dialer.dials_without_hybrid(), 0);
}

#[tokio::test]
async fn silence_behind_the_client_hello_is_answered_by_a_dial_without_the_hybrid_group() {
    let fixture = Fixture::new();
    let (listener, bound) = listener("127.0.0.1:0");
    let dialer = dialer(&fixture, Language::Telerelay);
    let name = node_name();
    let node = async {
        let (mut first, _) = listener.accept().await.unwrap();
        let mut hello = [0; 1000];
        first.read_exact(&mut hello).await.unwrap();
        drop(first);
        accept_one(&listener, &fixture).await
    };
    let (dialled, (_, accepted)) = tokio::join!(dialer.connect(&name, &bound), node);
    assert_eq!(dialled.unwrap().1.group(), Some(NamedGroup::X25519));
    accepted.unwrap();
    assert_eq!(dialer.dials_without_hybrid(), 1);
}

#[tokio::test]
async fn what_answered_is_not_dialled_again() {
    let fixture = Fixture::new();
    let (listener, bound) = listener("127.0.0.1:0");
    let dialer = dialer(&fixture, Language::Telerelay);
    let name = node_name();
    let web_server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .await
            .unwrap();
        let mut scratch = Vec::new();
        stream.read_to_end(&mut scratch).await
    };
    let (dialled, _) = tokio::join!(dialer.connect(&name, &bound), web_server);
    let Err(error) = dialled else {
        panic!("let in")
    };
    assert!(matches!(error, DialError::Tls { .. }), "{error}");
    assert_eq!(error.code(), Code::Unreachable);
    assert_eq!(dialer.dials_without_hybrid(), 0);
}

#[tokio::test]
async fn addresses_are_tried_in_turn_and_the_pin_tells_more_than_silence() {
    let fixture = Fixture::new();
    let (listener, bound) = listener("127.0.0.1:0");
    // A port that was just free: nobody listens there.
    let closed = Address::try_from(
        self::listener("127.0.0.1:0")
            .0
            .local_addr()
            .unwrap()
            .to_string(),
    )
    .unwrap();
    let node = |name: &str, addresses: Vec<Address>| NodeAddress {
        name: name.parse().unwrap(),
        addresses: addresses.try_into().unwrap(),
    };
    let dialer = dialer(&fixture, Language::Telerelay);
    let nodes = [
        node("node-0", vec![closed.clone()]),
        node("node-1", vec![closed.clone(), bound.clone()]),
    ];
    let (dialled, (_, accepted)) =
        tokio::join!(dialer.connect_any(&nodes), accept_one(&listener, &fixture));
    dialled.unwrap();
    accepted.unwrap();

    let nodes = [node("node-2", vec![bound]), node("node-1", vec![closed])];
    let (dialled, _) = tokio::join!(dialer.connect_any(&nodes), accept_one(&listener, &fixture));
    assert_eq!(dialled.map(|_| ()).unwrap_err().code(), Code::Pin);
    assert_eq!(
        dialer
            .connect_any(&[])
            .await
            .map(|_| ())
            .unwrap_err()
            .code(),
        Code::Unreachable
    );
}

#[tokio::test(start_paused = true)]
async fn an_address_where_nobody_answers_costs_five_seconds() {
    let fixture = Fixture::new();
    let (_listener, bound) = listener("127.0.0.1:0");
    let dialer = dialer(&fixture, Language::Telerelay);
    let began = tokio::time::Instant::now();
    let error = dialer
        .connect(&node_name(), &bound)
        .await
        .map(|_| ())
        .unwrap_err();
    assert!(matches!(error, DialError::Late { .. }), "{error}");
    assert_eq!(began.elapsed().as_secs(), DIAL_ADDRESS.as_secs());
    assert_eq!(dialer.dials_without_hybrid(), 1);
}

#[test]
fn every_node_name_can_be_an_sni() {
    // Letters that hexadecimal numbers have and do not have, digits, the hyphen: every label of up to four of them.
    let alphabet = ["a", "f", "x", "z", "0", "9", "-"];
    let mut labels = vec![String::new()];
    let mut names = 0;
    for _ in 0..4 {
        labels = labels
            .iter()
            .flat_map(|label| alphabet.map(|next| format!("{label}{next}")))
            .collect();
        for name in labels
            .iter()
            .filter_map(|label| label.parse::<NodeName>().ok())
        {
            assert_eq!(server_name(&name).to_str(), name.as_str());
            names += 1;
        }
    }
    assert!(names > 1_000);
}
