//! Strangers in numbers before a node on real sockets: who loses a place, who waits, and that whoever is known notices nothing
//! (PROTOCOL.md §1.3; security.md T9–T11).
//!
//! A test binary of its own: a node is made small by the descriptors that its process has while it is made.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#[path = "../node/kit.rs"]
#[expect(dead_code, reason = "shared with the tests of ordinary nodes")]
mod kit;

use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use telerelay_leg::config::Language;
use telerelay_leg::dial::Dialer;
use telerelay_node::{Config, Side};
use telerelay_wire::Code;
use telerelay_wire::ids::{Address, ComputerId, Role};
use telerelay_wire::limits::{DESCRIPTORS_KEPT, DESCRIPTORS_PER_WORKER, GUESTS_LEAST};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use kit::{COMPUTER, Endpoint, World, credentials, node_name};

/// The address that floods come from; good ones come from 127.0.0.1.
const FLOOD: [u8; 4] = [127, 0, 0, 2];

/// A node whose process has so many descriptors, as far as it knows.
fn node(descriptors: usize, shape: impl FnOnce(&mut Config)) -> World {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock();
    let before = getrlimit(Resource::Nofile);
    let current = Some(descriptors as u64);
    let maximum = before.maximum;
    setrlimit(Resource::Nofile, Rlimit { current, maximum }).unwrap();
    let world = World::shaped(1, &[Side::Both], shape);
    setrlimit(Resource::Nofile, before).unwrap();
    world
}

/// A connection from an address of this machine.
async fn connect_from(from: [u8; 4], world: &World) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    let address: SocketAddr = world.addresses[0].as_str().parse().unwrap();
    socket.connect(address).await.unwrap()
}

/// The ClientHello of an endpoint, as it came to a listener of our own.
async fn client_hello(world: &World) -> Vec<u8> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = Address::try_from(listener.local_addr().unwrap().to_string()).unwrap();
    let credentials = credentials(&world.organisation.client());
    let dialer = Dialer::new(world.pins(), Some(&credentials), Language::Telerelay).unwrap();
    let name = node_name();
    let taken = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut header = [0; 5];
        socket.read_exact(&mut header).await.unwrap();
        let mut body = vec![0; u16::from_be_bytes([header[3], header[4]]).into()];
        socket.read_exact(&mut body).await.unwrap();
        [&header[..], &body].concat()
    };
    tokio::select! {
        hello = taken => hello,
        _ = dialer.connect(&name, &address) => panic!("nobody answers"),
    }
}

/// Somebody logs in.
async fn log_in(world: &World, number: u8) -> Endpoint {
    let minted = world.organisation.agent(ComputerId([number; 10]));
    let mut agent = world.dial(&minted).await;
    agent.hello(Role::Agent).await;
    agent.welcome().await;
    agent
}

/// The session that runs beside: bytes go through, both ways.
async fn runs(agent: &mut Endpoint, client: &mut Endpoint) {
    for (from, to) in [(0, 1), (1, 0)] {
        let ends = [&mut *agent, &mut *client];
        ends[from].send_path(b"undisturbed").await.unwrap();
        assert_eq!(ends[to].read_path(11).await, b"undisturbed");
    }
}

#[tokio::test]
async fn strangers_push_out_strangers_and_nobody_else() {
    let mut world = node(600, |_| {});
    let places = 600 / 100 * 25;
    let (minted, client) = (
        world.organisation.agent(COMPUTER),
        world.organisation.client(),
    );
    let (mut at_agent, mut at_client, _) = world.path(&minted, &client).await;
    // Two that have come further than the flood will: their handshakes have begun.
    let hello = client_hello(&world).await;
    let mut further = Vec::new();
    for _ in 0..2 {
        let mut stranger = connect_from(FLOOD, &world).await;
        stranger.write_all(&hello).await.unwrap();
        // The node's flight.
        assert!(stranger.read(&mut [0; 4096]).await.unwrap() > 100);
        further.push(stranger);
    }
    // From the very address of the good ones, and from another.
    let mut parked = Vec::new();
    for number in 0..2 * places {
        let from = if number % 2 == 0 {
            FLOOD
        } else {
            [127, 0, 0, 1]
        };
        let mut stranger = connect_from(from, &world).await;
        // One byte now and then is no progress.
        drop(stranger.write_all(&[22]).await);
        parked.push(stranger);
        if number % 50 == 0 {
            drop(log_in(&world, 9).await);
            runs(&mut at_agent, &mut at_client).await;
        }
    }
    assert!(world.statistic("guests") <= places);
    assert!(world.statistic("guests_evicted") >= places / 2);
    for stranger in &mut further {
        let still = tokio::time::timeout(Duration::ZERO, stranger.read(&mut [0; 1])).await;
        assert!(still.is_err(), "the least progressed go first: {still:?}");
    }
    drop(log_in(&world, 9).await);
    runs(&mut at_agent, &mut at_client).await;
    assert_eq!(world.statistic("live_paths"), 1);
    drop((parked, further));
    world.until("guests", 0).await;
}

#[tokio::test]
async fn a_flood_of_handshakes_is_told_that_the_node_is_busy_and_others_come_through() {
    let mut world = node(4_000, |config| config.handshakes_per_s = Some(40));
    let (minted, client) = (
        world.organisation.agent(COMPUTER),
        world.organisation.client(),
    );
    let (mut at_agent, mut at_client, _) = world.path(&minted, &client).await;
    let hello = client_hello(&world).await;
    let mut flood = Vec::new();
    for _ in 0..200 {
        let mut stranger = connect_from(FLOOD, &world).await;
        stranger.write_all(&hello).await.unwrap();
        flood.push(stranger);
    }
    // One second's handshakes wait; the good one is the next after one of the flood.
    drop(log_in(&world, 1).await);
    runs(&mut at_agent, &mut at_client).await;
    assert!(world.statistic("handshakes_delayed") >= 100);
    let mut busy = 0;
    for stranger in &mut flood {
        let mut answer = [0; 7];
        stranger.read_exact(&mut answer).await.unwrap();
        busy += u64::from(answer == [21, 3, 3, 0, 2, 2, 80]);
    }
    assert!((100..200).contains(&busy), "{busy}");
    world.until("handshakes_failed.busy", busy).await;
    assert_eq!(world.statistic("handshakes_waiting"), 0);
    runs(&mut at_agent, &mut at_client).await;
}

#[tokio::test]
async fn a_trusted_network_does_not_stand_in_line_behind_strangers() {
    let world = node(4_000, |config| {
        config.handshakes_per_s = Some(20);
        config.trusted_networks = vec!["127.0.0.1/32".parse().unwrap()];
    });
    let hello = client_hello(&world).await;
    let mut flood = Vec::new();
    // As many addresses as there are turns in the time that somebody waits: fair turns alone would not be enough.
    for last in 2..42 {
        let mut stranger = connect_from([127, 0, 0, last], &world).await;
        stranger.write_all(&hello).await.unwrap();
        flood.push(stranger);
    }
    for number in 0..3 {
        drop(log_in(&world, number).await);
    }
}

#[tokio::test]
async fn a_busy_node_is_what_the_endpoint_reads() {
    let world = node(4_000, |config| config.handshakes_per_s = Some(1));
    let credentials = credentials(&world.organisation.client());
    let dialer = Dialer::new(world.pins(), Some(&credentials), Language::Telerelay).unwrap();
    let name = node_name();
    let dial = async || dialer.connect(&name, &world.addresses[0]).await.map(drop);
    // One begins, one may wait for the next second, and for one there is no place in line.
    let (one, two, three) = tokio::join!(dial(), dial(), dial());
    let refused: Vec<_> = [one, two, three]
        .into_iter()
        .filter_map(Result::err)
        .collect();
    assert!(!refused.is_empty());
    assert!(refused.iter().all(|error| error.code() == Code::Busy));
}

#[tokio::test]
async fn without_descriptors_accepting_pauses_and_sessions_go_on() {
    let known = 6;
    let fewest = DESCRIPTORS_KEPT + DESCRIPTORS_PER_WORKER + GUESTS_LEAST;
    let mut world = node(fewest + known, |_| {});
    let (minted, client) = (
        world.organisation.agent(COMPUTER),
        world.organisation.client(),
    );
    let (mut at_agent, mut at_client, _) = world.path(&minted, &client).await;
    let mut agents = Vec::new();
    // The session has two descriptors; one more than fits leaves less than newcomers need.
    for number in 0..known - 1 {
        agents.push(log_in(&world, u8::try_from(number).unwrap()).await);
    }
    // The one that the node was waiting for when the last descriptor went is still taken.
    let taken = connect_from(FLOOD, &world).await;
    world.until_in("accept_pauses", 1..).await;
    drop(taken);
    let accepted = world.statistic("accepted");
    let mut waiting = connect_from(FLOOD, &world).await;
    let pauses = world.statistic("accept_pauses");
    world.until_in("accept_pauses", pauses + 3..).await;
    assert_eq!(world.statistic("accepted"), accepted);
    runs(&mut at_agent, &mut at_client).await;
    agents.pop();
    world.until("accepted", accepted + 1).await;
    runs(&mut at_agent, &mut at_client).await;
    // And what waited in the kernel is taken as if it had just come.
    waiting.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    drop(waiting.read(&mut [0; 64]).await);
    world.until("handshakes_failed.not_tls", 1).await;
}
