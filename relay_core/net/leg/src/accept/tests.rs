//! Strangers at the door: late, with other languages, with older versions.
use std::future::ready;

use telerelay_wire::limits::{CLIENT_HELLO, HANDSHAKE};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use super::{AcceptError, accept};
use crate::fixture::{COMPUTER, Fixture};

/// A connection: the stranger's end, and the node's verdict.
async fn connect() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stranger, node) = tokio::join!(TcpStream::connect(address), listener.accept());
    (stranger.unwrap(), node.unwrap().0)
}

/// A ClientHello as TLS 1.2 knows it, without the extension that names TLS 1.3, and with these names in ALPN.
fn client_hello(versions: &[u16], alpn: &[&[u8]]) -> Vec<u8> {
    let mut extensions = vec![
        extension(10, &with_length16(&0x001d_u16.to_be_bytes())),
        extension(13, &with_length16(&0x0403_u16.to_be_bytes())),
    ];
    if !alpn.is_empty() {
        let names: Vec<u8> = alpn.iter().flat_map(|name| with_length8(name)).collect();
        extensions.push(extension(16, &with_length16(&names)));
    }
    if !versions.is_empty() {
        let versions: Vec<u8> = versions
            .iter()
            .flat_map(|version| version.to_be_bytes())
            .collect();
        extensions.push(extension(43, &with_length8(&versions)));
        extensions.push(extension(
            51,
            &with_length16(&[&[0, 0x1d][..], &with_length16(&[9; 32])].concat()),
        ));
    }
    let body = [
        &[3, 3][..],
        &[7; 32],
        &[0],
        &with_length16(&[0x13, 0x01, 0xc0, 0x2b]),
        &with_length8(&[0]),
        &with_length16(&extensions.concat()),
    ]
    .concat();
    let message = [&[1, 0][..], &with_length16(&body)].concat();
    [&[22, 3, 1][..], &with_length16(&message)].concat()
}

fn extension(kind: u16, body: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &with_length16(body)].concat()
}

fn with_length8(bytes: &[u8]) -> Vec<u8> {
    [&[u8::try_from(bytes.len()).unwrap()][..], bytes].concat()
}

fn with_length16(bytes: &[u8]) -> Vec<u8> {
    [
        &u16::try_from(bytes.len()).unwrap().to_be_bytes()[..],
        bytes,
    ]
    .concat()
}

/// Sends bytes and reads what comes until the node ends the connection.
async fn say(bytes: &[u8]) -> (AcceptError, Vec<u8>) {
    let fixture = Fixture::new();
    let (mut stranger, mut node) = connect().await;
    let speak = async move {
        stranger.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        stranger.read_to_end(&mut answer).await.unwrap();
        drop(stranger);
        answer
    };
    let verdict = async {
        let accepted = accept(&mut node, &fixture.configs, ready(true)).await;
        drop(node);
        accepted
    };
    let (answer, accepted) = tokio::join!(speak, verdict);
    let Err(error) = accepted else {
        panic!("let in")
    };
    (error, answer)
}

/// An alert in a plain record.
fn alert(description: u8) -> Vec<u8> {
    vec![21, 3, 3, 0, 2, 2, description]
}

#[tokio::test]
async fn other_languages_read_no_application_protocol() {
    for alpn in [&[][..], &[&b"h2"[..]], &[&b"telerelay/2"[..], b"http/1.0"]] {
        let (error, answer) = say(&client_hello(&[0x0304], alpn)).await;
        assert!(
            matches!(error, AcceptError::NoLanguage),
            "{alpn:?}: {error}"
        );
        assert_eq!(answer, alert(120), "{alpn:?}");
    }
}

#[tokio::test]
async fn tls_1_2_reads_protocol_version() {
    for versions in [&[][..], &[0x0303]] {
        let (error, answer) = say(&client_hello(versions, &[b"telerelay/1"])).await;
        assert!(matches!(error, AcceptError::Tls(_)), "{error}");
        assert_eq!(answer, alert(70));
    }
}

#[tokio::test]
async fn what_is_not_tls_is_refused() {
    for bytes in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"SSH-2.0-OpenSSH_9.9\r\n",
        &[22, 3, 1, 0xff, 0xff, 1],
    ] {
        let (error, _) = say(bytes).await;
        assert!(matches!(error, AcceptError::NotTls(_)), "{error}");
    }
    // A message that promises more than a ClientHello has and never ends.
    let endless = [&[22, 3, 1, 0x40, 0, 1, 0, 0xff, 0xff][..], &vec![0; 20_000]].concat();
    let (error, _) = say(&endless).await;
    assert!(matches!(error, AcceptError::NotTls(_)), "{error}");
}

#[tokio::test]
async fn who_may_not_begin_reads_internal_error_before_any_cryptography() {
    let fixture = Fixture::new();
    let (mut stranger, mut node) = connect().await;
    // No key share could be computed with this: whoever tried would send another alert.
    let hello = client_hello(&[0x0303], &[b"telerelay/1"]);
    stranger.write_all(&hello).await.unwrap();
    let refused = accept(&mut node, &fixture.configs, ready(false)).await;
    drop(node);
    let mut answer = Vec::new();
    stranger.read_to_end(&mut answer).await.unwrap();
    assert!(matches!(refused, Err(AcceptError::Busy)));
    assert_eq!(answer, alert(80));
}

#[tokio::test]
async fn whoever_left_before_its_turn_costs_no_cryptography() {
    let fixture = Fixture::new();
    let (mut stranger, mut node) = connect().await;
    // Whoever began with this would send an alert.
    let hello = client_hello(&[0x0303], &[b"telerelay/1"]);
    stranger.write_all(&hello).await.unwrap();
    stranger.shutdown().await.unwrap();
    let left = accept(&mut node, &fixture.configs, ready(true)).await;
    drop(node);
    let mut answer = Vec::new();
    stranger.read_to_end(&mut answer).await.unwrap();
    assert!(matches!(left, Err(AcceptError::Left(_))));
    assert_eq!(answer, []);
}

#[tokio::test(start_paused = true)]
async fn a_stranger_who_says_nothing_holds_a_descriptor_for_three_seconds() {
    let fixture = Fixture::new();
    let (mut stranger, mut node) = connect().await;
    stranger.write_all(&[22, 3, 1]).await.unwrap();
    let began = Instant::now();
    let late = accept(&mut node, &fixture.configs, ready(true))
        .await
        .map(|_| ())
        .unwrap_err();
    assert!(matches!(late, AcceptError::HelloLate), "{late}");
    assert_eq!(began.elapsed().as_secs(), CLIENT_HELLO.as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_stops_is_ended_after_ten_seconds() {
    let fixture = Fixture::new();
    let (mut stranger, mut node) = connect().await;
    let (hello, _) = fixture.ends(&fixture.organisation.agent(COMPUTER));
    stranger.write_all(hello.outgoing()).await.unwrap();
    let began = Instant::now();
    let late = accept(&mut node, &fixture.configs, ready(true))
        .await
        .map(|_| ())
        .unwrap_err();
    assert!(matches!(late, AcceptError::HandshakeLate), "{late}");
    assert_eq!(began.elapsed().as_secs(), HANDSHAKE.as_secs());
}

#[test]
fn every_error_has_a_name_of_the_list() {
    for error in [
        AcceptError::HelloLate,
        AcceptError::Busy,
        AcceptError::NoLanguage,
        AcceptError::NoCertificate,
    ] {
        assert!(AcceptError::NAMES.contains(&error.name()));
    }
}
