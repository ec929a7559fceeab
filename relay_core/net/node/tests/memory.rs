//! What a ready connection costs the node: at most 8 KiB of its memory, measured as the slope between two numbers of agents.
#![expect(clippy::print_stdout, reason = "the two processes talk by lines")]
use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write, stdin};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use telerelay_leg::config::Language;
use telerelay_leg::credentials::Credentials;
use telerelay_leg::dial::Dialer;
use telerelay_leg::trust::{Anchor, Pins};
use telerelay_mint::{Cluster, Organisation};
use telerelay_node::{Config, Event, Node, Side, Standing, Told};
use telerelay_wire::bounded::List;
use telerelay_wire::ids::{Address, ComputerId, Instance, NodeName, Program, Role};
use telerelay_wire::outer::{Frame, Hello};
use tokio::io::AsyncWriteExt;

/// Agents before the first and between the two measurements.
const AGENTS: [u64; 2] = [200, 1_000];
const MOST: u64 = 8 * 1024;

struct Nobody;

impl Told for Nobody {
    fn tell(&self, _: Event) {}

    fn waiting(&self) -> usize {
        0
    }
}

fn main() {
    if env::args().any(|argument| argument == "agents") {
        agents();
    } else {
        node();
    }
}

fn name() -> NodeName {
    "node-1".parse().expect("a node name")
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex
        .as_bytes()
        .chunks(2)
        .map(|pair| std::str::from_utf8(pair).expect("ASCII"));
    digits
        .map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal digits"))
        .collect()
}

fn node() {
    let cluster = Cluster::new();
    let folder = tempfile::tempdir().expect("a folder");
    let (chain, key) = cluster.node(&name()).write(folder.path(), "node");
    let config = Config {
        name: name(),
        listeners: vec![("127.0.0.1:0".parse().expect("an address"), Side::Both)],
        credentials: Credentials::read(&chain, &key).expect("credentials"),
        workers: 1,
        return_window: 5,
        banner: None,
        trusted_networks: Vec::new(),
        handshakes_per_s: None,
        arrivals_per_s: None,
        memory_budget: u64::MAX,
    };
    let node = Node::new(config, Arc::new(Nobody)).expect("a node");
    let address = node.start().expect("a port")[0];

    let mut agents = Command::new(env::current_exe().expect("this program"))
        .arg("agents")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a second process");
    let mut told = BufReader::new(agents.stdout.take().expect("piped")).lines();
    let mut to_agents = agents.stdin.take().expect("piped");
    let root = bytes(&told.next().expect("a line").expect("a line"));
    let anchor = Anchor::from_der(&root).expect("a root");
    node.set_snapshot(
        vec![(anchor, Standing::Admitted)],
        [].into(),
        [].into(),
        [].into(),
        0,
    );

    let mut measured = Vec::new();
    let mut ready = 0;
    for count in AGENTS {
        writeln!(to_agents, "{address} {} {count}", hex(&cluster.pin())).expect("a line");
        ready += count;
        until_ready(&node, ready);
        measured.push(anonymous_memory());
    }
    agents.kill().expect("it runs");
    agents.wait().expect("it ran");
    let each = measured[1].saturating_sub(measured[0]) / AGENTS[1];
    println!("a ready connection: {each} bytes");
    assert!(each > 0, "nothing was measured");
    assert!(
        each <= MOST,
        "a ready connection costs {each} bytes, more than {MOST}"
    );
}

fn until_ready(node: &Node, agents: u64) {
    let began = Instant::now();
    let ready = || {
        node.statistics()
            .into_iter()
            .any(|(name, value)| name == "ready_agents" && value == agents)
    };
    while !ready() {
        assert!(
            began.elapsed() < Duration::from_mins(1),
            "not all agents became ready"
        );
        sleep(Duration::from_millis(20));
    }
}

/// Memory of this process that no file backs, in bytes.
fn anonymous_memory() -> u64 {
    let rollup = fs::read_to_string("/proc/self/smaps_rollup").expect("Linux");
    let line = rollup
        .lines()
        .find(|line| line.starts_with("Anonymous:"))
        .expect("a line of it");
    let kilobytes = line.split_whitespace().nth(1).expect("a number");
    kilobytes.parse::<u64>().expect("a number") * 1024
}

fn agents() {
    let organisation = Organisation::new("organisation");
    println!("{}", hex(organisation.root_der()));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let mut held = Vec::new();
    for line in stdin().lines() {
        let line = line.expect("a line");
        let [address, pin, count] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("three words")
        };
        let pins = Pins([[0; 32], bytes(pin).try_into().expect("32 bytes")]);
        let address = Address::try_from(address).expect("an address");
        for _ in 0..count.parse::<usize>().expect("a number") {
            held.push(runtime.block_on(ready(&organisation, pins, &address)));
        }
    }
}

async fn ready(
    organisation: &Organisation,
    pins: Pins,
    address: &Address,
) -> (tokio::net::TcpStream, telerelay_leg::tls::Tls) {
    let folder = tempfile::tempdir().expect("a folder");
    let minted = organisation.agent(ComputerId([1; 10]));
    let (chain, key) = minted.write(folder.path(), "agent");
    let credentials = Credentials::read(&chain, &key).expect("credentials");
    let dialer = Dialer::new(pins, Some(&credentials), Language::Telerelay).expect("a dialer");
    let (mut socket, mut tls) = dialer.connect(&name(), address).await.expect("a node");
    let hello = Hello {
        version: 1,
        role: Role::Agent,
        features: List::default(),
        instance: Instance([1; 16]),
        counter: 1,
        program: Program::try_from("test/1").expect("a program"),
    };
    let mut frame = Vec::new();
    Frame::from(hello)
        .encode(&mut frame)
        .expect("a frame that fits");
    tls.write(&frame).expect("a handshake that is over");
    socket.write_all(tls.outgoing()).await.expect("a node");
    (socket, tls)
}
