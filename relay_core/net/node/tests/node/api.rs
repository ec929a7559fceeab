//! Connections of the API: whose they are, and where they end (PROTOCOL.md §11).
use telerelay_leg::config::Language;
use telerelay_leg::dial::Dialer;
use telerelay_leg::plain;
use telerelay_leg::trust::Certified;
use telerelay_mint::Minted;
use telerelay_node::{ApiConnection, Event};
use telerelay_wire::limits::{API_ANONYMOUS, API_BYTES_ANONYMOUS, API_CONNECTIONS, API_FIRST_BYTE};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout};

use crate::kit::{World, credentials, node_name, pattern};

impl World {
    /// The plaintext of a new connection of the API, at its client.
    async fn browse(&self, minted: Option<&Minted>) -> UnixStream {
        let credentials = minted.map(credentials);
        let dialer = Dialer::new(self.pins(), credentials.as_ref(), Language::Http).unwrap();
        let (socket, tls) = dialer
            .connect(&node_name(), &self.addresses[0])
            .await
            .unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        tokio::spawn(plain::carry(socket, tls, theirs, None));
        ours
    }

    /// The same connection at whoever answers.
    async fn answering(&mut self) -> (UnixStream, ApiConnection) {
        let Event::Api(connection) = self.event().await else {
            panic!()
        };
        let stream = std::os::unix::net::UnixStream::from(connection.stream.try_clone().unwrap());
        stream.set_nonblocking(true).unwrap();
        let identity = connection.identity;
        let address = connection.address.clone();
        // The descriptor that was told is closed with the event: the one that is used is the other.
        let told = ApiConnection {
            stream: connection.stream,
            identity,
            address,
        };
        (UnixStream::from_std(stream).unwrap(), told)
    }
}

#[tokio::test]
async fn requests_pass_with_the_identity_of_who_asks() {
    let mut world = World::new();
    let admin = world.organisation.role("admin");
    for minted in [Some(&admin), None] {
        let mut browser = world.browse(minted).await;
        let (mut server, told) = world.answering().await;
        assert_eq!(
            told.identity.map(|identity| identity.role),
            minted.map(|_| Certified::Admin)
        );
        drop(told);
        browser
            .write_all(b"GET /v1/org HTTP/1.1\r\n\r\n")
            .await
            .unwrap();
        let mut request = [0; 24];
        server.read_exact(&mut request).await.unwrap();
        assert_eq!(&request, b"GET /v1/org HTTP/1.1\r\n\r\n");
        let answer = pattern(2_000_000, 5);
        let send = async {
            server.write_all(&answer).await.unwrap();
            drop(server);
        };
        let mut got = Vec::new();
        let ((), read) = tokio::join!(send, browser.read_to_end(&mut got));
        read.unwrap();
        assert!(got == answer);
    }
    world.until("api_open", 0).await;
    world.until("connections", 0).await;
}

#[tokio::test]
async fn an_answer_that_does_not_wait_for_the_request_arrives_whole() {
    let mut world = World::new();
    let browser = world.browse(Some(&world.organisation.role("admin"))).await;
    let (mut server, told) = world.answering().await;
    drop(told);
    let (mut reading, mut writing) = browser.into_split();
    let request = pattern(3_000_000, 10);
    let ask = async move {
        // Refused in the middle: the server closes before it has read everything.
        drop(writing.write_all(&request).await);
    };
    let refuse = async move {
        server.read_exact(&mut [0; 1000]).await.unwrap();
        server.write_all(b"413").await.unwrap();
        drop(server);
    };
    let mut answer = Vec::new();
    let ((), (), read) = tokio::join!(ask, refuse, reading.read_to_end(&mut answer));
    read.unwrap();
    assert_eq!(answer, b"413");
}

#[tokio::test]
async fn a_client_that_leaves_is_seen_by_the_server() {
    let mut world = World::new();
    let mut browser = world.browse(None).await;
    let (mut server, told) = world.answering().await;
    drop(told);
    browser.write_all(b"GET").await.unwrap();
    drop(browser);
    let mut request = Vec::new();
    server.read_to_end(&mut request).await.unwrap();
    assert_eq!(request, b"GET");
}

#[tokio::test]
async fn more_than_64_kib_without_an_answer_end_an_anonymous_connection() {
    let mut world = World::new();
    let (browser, mut server) = {
        let browser = world.browse(None).await;
        let (server, told) = world.answering().await;
        drop(told);
        (browser, server)
    };
    let (mut reading, mut writing) = browser.into_split();
    let allowed = usize::try_from(API_BYTES_ANONYMOUS).unwrap();
    // An answer begins the count anew.
    for _ in 0..3 {
        let mut got = vec![0; allowed];
        let request = pattern(allowed, 6);
        let (written, read) =
            tokio::join!(writing.write_all(&request), server.read_exact(&mut got));
        written.unwrap();
        read.unwrap();
        server.write_all(b"answer").await.unwrap();
        reading.read_exact(&mut [0; 6]).await.unwrap();
    }
    let flood = pattern(allowed + 1, 7);
    let write = async move {
        // The node may end it before the last byte is written.
        drop(writing.write_all(&flood).await);
    };
    let mut got = Vec::new();
    let ((), read) = tokio::join!(write, server.read_to_end(&mut got));
    drop(read);
    assert!(got.len() <= allowed);
    world.until("api_limited.bytes", 1).await;
    world.until("api_open", 0).await;
}

#[tokio::test]
async fn a_connection_without_a_byte_ends_after_five_seconds() {
    let mut world = World::new();
    let mut browser = world.browse(None).await;
    let began = Instant::now();
    let (mut server, told) = world.answering().await;
    drop(told);
    let mut nothing = Vec::new();
    server.read_to_end(&mut nothing).await.unwrap();
    assert!(began.elapsed() + std::time::Duration::from_millis(100) >= API_FIRST_BYTE);
    assert_eq!(browser.read(&mut [0; 1]).await.unwrap_or(0), 0);
    world.until("api_limited.first_byte", 1).await;
}

#[tokio::test]
async fn two_hundred_and_fifty_six_at_once_and_a_quarter_of_them_for_whoever_is_known() {
    let mut world = World::new();
    let admin = world.organisation.role("admin");
    let mut open = Vec::new();
    for number in 0..API_CONNECTIONS {
        let minted = (number >= API_ANONYMOUS).then_some(&admin);
        let mut browser = world.browse(minted).await;
        browser.write_all(b"G").await.unwrap();
        open.push((browser, world.answering().await));
    }
    let mut refused = world.browse(Some(&admin)).await;
    // It speaks, so that it is not silence that ends it.
    drop(refused.write_all(b"G").await);
    let mut answer = [0; 1];
    let ended = timeout(API_FIRST_BYTE, refused.read(&mut answer)).await;
    assert_eq!(ended.expect("it is not kept").unwrap_or(0), 0);
    world.until("api_full", 1).await;
    // One more of nobody known takes the place of the one that has been here longest.
    let _newcomer = world.browse(None).await;
    world.answering().await;
    world.until("api_evicted", 1).await;
    let (oldest, _) = &mut open[0];
    let ended = timeout(API_FIRST_BYTE, oldest.read(&mut answer)).await;
    assert_eq!(ended.expect("it had to go").unwrap_or(0), 0);
    // And of those that are known, once one has left.
    open.pop();
    world.until("api_open", API_CONNECTIONS as u64 - 1).await;
    let _browser = world.browse(Some(&admin)).await;
    world.answering().await;
}

#[tokio::test]
async fn whoever_is_known_waits_for_a_place_in_turn() {
    let mut world = World::new();
    let admin = world.organisation.role("admin");
    let mut open = Vec::new();
    for _ in 0..API_CONNECTIONS {
        let mut browser = world.browse(Some(&admin)).await;
        browser.write_all(b"G").await.unwrap();
        open.push((browser, world.answering().await));
    }
    let mut waiting = Vec::new();
    for word in [b"first ", b"second"] {
        let mut browser = world.browse(Some(&admin)).await;
        browser.write_all(word).await.unwrap();
        waiting.push(browser);
    }
    for word in [b"first ", b"second"] {
        open.pop();
        let (mut server, told) = world.answering().await;
        let mut heard = [0; 6];
        server.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, word);
        open.push((waiting.remove(0), (server, told)));
    }
    assert_eq!(world.statistic("api_open"), API_CONNECTIONS as u64);
    assert_eq!(world.statistic("api_full"), 0);
}
