//! A node without descriptors: accepting pauses instead of spinning, and goes on when there are some again.
//!
//! A test binary of its own, because the limit is the process's.
use std::fs::File;
use std::net::TcpStream;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use telerelay_leg::credentials::Credentials;
use telerelay_mint::Cluster;
use telerelay_node::{Config, Event, Node, Side, Told};

struct Nobody;

impl Told for Nobody {
    fn tell(&self, _: Event) {}

    fn waiting(&self) -> usize {
        0
    }
}

fn statistic(node: &Node, name: &str) -> u64 {
    let all = node.statistics();
    all.into_iter()
        .find(|(other, _)| other == name)
        .map_or(0, |(_, value)| value)
}

fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let began = Instant::now();
    while !reached() {
        assert!(began.elapsed() < Duration::from_secs(10), "{what}");
        sleep(Duration::from_millis(5));
    }
}

#[test]
fn accepting_pauses_without_descriptors_and_goes_on_with_them() {
    let name: telerelay_wire::ids::NodeName = "node-1".parse().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (chain, key) = Cluster::new().node(&name).write(folder.path(), "node");
    let config = Config {
        name,
        listeners: vec![("127.0.0.1:0".parse().unwrap(), Side::Both)],
        credentials: Credentials::read(&chain, &key).unwrap(),
        workers: 1,
        return_window: 5,
        banner: None,
        trusted_networks: Vec::new(),
        handshakes_per_s: None,
        arrivals_per_s: None,
        memory_budget: u64::MAX,
    };
    let node = Node::new(config, Arc::new(Nobody)).unwrap();
    let address = node.start().unwrap()[0];

    let before = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: Some(128),
            maximum: before.maximum,
        },
    )
    .unwrap();
    let mut fillers = Vec::new();
    let full = loop {
        match File::open("/dev/null") {
            Ok(file) => fillers.push(file),
            Err(error) => break error,
        }
    };
    assert_eq!(
        full.raw_os_error(),
        Some(rustix::io::Errno::MFILE.raw_os_error())
    );
    // One descriptor for the other end, none for the node's.
    fillers.pop();
    let waiting = TcpStream::connect(address).unwrap();
    until("accepting pauses", || statistic(&node, "accept_pauses") > 0);
    let (pauses, began) = (statistic(&node, "accept_pauses"), Instant::now());
    until("it tries again", || {
        statistic(&node, "accept_pauses") >= pauses + 5
    });
    // 100 ms each: a loop that spins would be through in microseconds.
    assert!(began.elapsed() >= Duration::from_millis(400));
    assert_eq!(statistic(&node, "accepted"), 0);

    drop(fillers);
    until("accepting goes on", || statistic(&node, "accepted") == 1);
    drop(waiting);
    until("the connection is gone", || {
        statistic(&node, "connections") == 0
    });
    setrlimit(Resource::Nofile, before).unwrap();
}
