//! The driver against a node of this process: what it says it did is what the node saw.
use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::num::NonZero;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak, mpsc};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use telerelay_leg::credentials::Credentials;
use telerelay_leg::trust::{Anchor, Pins};
use telerelay_load::LoadError;
use telerelay_load::commands::agents::{Fleet, Office};
use telerelay_load::commands::{connect, handshakes, hold, reference, strangers};
use telerelay_load::output::{Output, SCHEMA};
use telerelay_load::sources::Sources;
use telerelay_load::stop::{Stop, Stopper};
use telerelay_load::tenant::{Cluster, Tenant};
use telerelay_mint as mint;
use telerelay_node::{Config, Decision, Event, Node, Scope, Side, Standing, Told};
use telerelay_wire::Code;
use telerelay_wire::ids::{Address, ClientAddress, ComputerId, DeviceId, NodeAddress, NodeName};
use tempfile::TempDir;
use tokio::time::timeout;

const AGENTS: u8 = 50;
/// Longer than any timer of the protocol: a condition that has not come by then never comes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A node, and an organisation in a folder that it has admitted.
struct World {
    node: Arc<Node>,
    address: SocketAddr,
    tenant: Tenant,
    /// Where clients asked from.
    asked_from: Arc<Mutex<Vec<ClientAddress>>>,
    folder: TempDir,
}

/// Hands on what a node tells.
struct Handed(mpsc::Sender<Event>);

impl Told for Handed {
    fn tell(&self, event: Event) {
        // Nobody takes events behind a test's end.
        drop(self.0.send(event));
    }

    fn waiting(&self) -> usize {
        0
    }
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (cluster, organisation) = (mint::Cluster::new(), mint::Organisation::new("load"));
        let agents = write_tenant(folder.path(), &organisation);
        let name: NodeName = "relay-1".parse().expect("a name");
        let (chain, key) = cluster.node(&name).write(folder.path(), "node");
        let config = Config {
            name: name.clone(),
            listeners: vec![(([127, 0, 0, 1], 0).into(), Side::Both)],
            credentials: Credentials::read(&chain, &key).expect("credentials"),
            workers: 1,
            return_window: 1,
            banner: None,
            trusted_networks: Vec::new(),
            handshakes_per_s: None,
            arrivals_per_s: None,
            memory_budget: u64::MAX,
        };
        let (told, events) = mpsc::channel();
        let node = Arc::new(Node::new(config, Arc::new(Handed(told))).expect("a node"));
        let address = node.start().expect("a port")[0];
        let anchor = Anchor::from_der(organisation.root_der()).expect("a root");
        node.set_snapshot(
            vec![(anchor, Standing::Admitted)],
            [].into(),
            [].into(),
            [].into(),
            0,
        );
        let asked_from = Arc::default();
        let (routing, asked) = (Arc::downgrade(&node), Arc::clone(&asked_from));
        thread::spawn(move || route(&routing, &events, &agents, &asked));
        let address_text = Address::try_from(address.to_string()).expect("an address");
        let told = Cluster {
            nodes: vec![NodeAddress {
                name,
                addresses: vec![address_text].try_into().expect("one address"),
            }],
            pins: Pins([cluster.pin(); 2]),
        };
        told.write(&folder.path().join("cluster.json"))
            .expect("a file");
        Self {
            node,
            address,
            tenant: Tenant::read(folder.path()).expect("a tenant"),
            asked_from,
            folder,
        }
    }

    /// All agents, online.
    async fn fleet(&self) -> Fleet {
        let count = usize::from(AGENTS);
        let devices = self.tenant.agents(0, count).expect("agents");
        let mut fleet =
            Fleet::start(&self.tenant, devices, 0, sources(), Office::Own).expect("a fleet");
        for percent in [99, 100] {
            let moment = timeout(PATIENCE, fleet.moment()).await.expect("in time");
            assert_eq!((moment.event, moment.percent), ("ready", Some(percent)));
        }
        assert_eq!(self.statistic("ready_agents"), u64::from(AGENTS));
        fleet
    }

    fn statistic(&self, name: &str) -> u64 {
        let all = self.node.statistics();
        let found = all.into_iter().find(|(other, _)| other == name);
        found.expect("a statistic of this name").1
    }
}

fn write_tenant(folder: &Path, organisation: &mint::Organisation) -> Vec<(ComputerId, DeviceId)> {
    fs::write(folder.join("root.der"), organisation.root_der()).expect("a file");
    for part in ["agents", "clients"] {
        fs::create_dir(folder.join(part)).expect("a folder");
    }
    (0..AGENTS)
        .map(|number| {
            let computer = ComputerId([0, 0, 0, 0, 0, 0, 0, 0, 0, number]);
            let agent = organisation.agent(computer);
            write_device(&folder.join(format!("agents/{computer}.pem")), &agent);
            write_device(
                &folder.join(format!("clients/{computer}.pem")),
                &organisation.client(),
            );
            (computer, agent.device)
        })
        .collect()
}

fn write_device(path: &Path, minted: &mint::Minted) {
    let mut options = fs::OpenOptions::new();
    let opened = options.write(true).create_new(true).mode(0o600).open(path);
    let mut file = opened.expect("a new file");
    let both = [minted.chain_pem.as_str(), &minted.key_pem].concat();
    file.write_all(both.as_bytes()).expect("a file");
}

/// Leads every request to the computer's agent, until the node is gone.
fn route(
    node: &Weak<Node>,
    events: &mpsc::Receiver<Event>,
    agents: &[(ComputerId, DeviceId)],
    asked_from: &Mutex<Vec<ClientAddress>>,
) {
    while let Ok(event) = events.recv() {
        let (Event::RouteAsked(request), Some(node)) = (event, node.upgrade()) else {
            continue;
        };
        let mut asked_from = asked_from.lock().unwrap_or_else(PoisonError::into_inner);
        asked_from.push(request.address);
        let mut agents = agents.iter();
        let (_, agent) = agents
            .find(|(computer, _)| *computer == request.computer)
            .expect("a computer of the organisation");
        node.decide(request.ticket, Decision::Here(*agent));
        node.recorded(&[request.ticket], Ok(()));
    }
}

fn sources() -> Sources {
    Sources::new(Some("127.5.0.0/24".parse().expect("a network")))
}

/// Lines that are kept.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn output(&self) -> Output {
        Output::new(self.clone())
    }

    /// How often something was said.
    fn said(&self, what: &str) -> usize {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&kept).matches(what).count()
    }

    /// The last line, after all of them named their schema.
    fn summary(&self) -> Value {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = std::str::from_utf8(&kept).expect("UTF-8");
        let lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        assert!(lines.iter().all(|line| line["schema"] == SCHEMA));
        let last = lines.last().expect("a line").clone();
        assert_eq!(last["event"], "summary");
        last
    }
}

/// A run that nobody ends before its time.
fn endless() -> (Stopper, Stop) {
    Stopper::new()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn set_ups_begin_at_their_rate_and_every_stage_is_told() {
    let world = World::new();
    let fleet = world.fleet().await;
    let options = connect::Options {
        first: 0,
        clients: usize::from(AGENTS),
        count: 60,
        per_s: 100.0,
        sources: sources(),
    };
    let (lines, (_stopper, stop)) = (Lines::default(), endless());
    let summary = connect::run(&world.tenant, options, &lines.output(), stop)
        .await
        .expect("a run");
    assert_eq!((summary.visits.done, summary.unmade), (60, 0));
    assert!(
        summary.visits.failed.is_empty(),
        "{:?}",
        summary.visits.failed
    );
    let told = lines.summary();
    assert!(
        told["elapsed_s"].as_f64() >= Some(0.59),
        "60 at 100 a second"
    );
    for stage in [
        "dial",
        "hello",
        "accept",
        "inner",
        "auth",
        "open",
        "first_byte",
    ] {
        assert_eq!(told["stages"][stage]["count"], 60, "{stage}");
    }
    // The parts are no more than the whole, which counts from the moment that was meant.
    let slowest = |stage: &Value| stage["max_us"].as_u64().expect("a number");
    let whole = slowest(&told["total"]);
    assert!(slowest(&told["stages"]["dial"]) > 0);
    assert!(slowest(&told["stages"]["inner"]) < whole);
    let asked_from = world.asked_from.lock().expect("no panic").clone();
    assert_eq!(asked_from.len(), 60);
    let hosts: BTreeSet<_> = asked_from
        .iter()
        .map(|address| {
            address
                .as_str()
                .parse::<SocketAddr>()
                .expect("an address")
                .ip()
        })
        .collect();
    assert_eq!(
        hosts.len(),
        usize::from(AGENTS),
        "an address for each client"
    );
    assert!(
        hosts
            .iter()
            .all(|host| host.to_string().starts_with("127.5.0."))
    );
    assert_eq!(fleet.standing().ended["DONE"], 60);
    assert_eq!(fleet.stop().await, 0);
    until(|| world.statistic("ready_agents") == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn held_sessions_answer_every_key_and_those_that_are_cut_are_told() {
    let world = World::new();
    let fleet = world.fleet().await;
    let options = hold::Options {
        first: 0,
        sessions: 20,
        opened_per_s: 200.0,
        every: Duration::from_millis(50),
        bytes: 3_000,
        lasts: None,
        sources: sources(),
    };
    let (lines, (stopper, stop)) = (Lines::default(), endless());
    let output = lines.output();
    let run = hold::run(&world.tenant, options, &output, stop);
    let cut = async {
        until(|| world.statistic("live_paths") == 20).await;
        until(|| lines.said("\"event\":\"second\"") > 1).await;
        assert_eq!(fleet.standing().sessions, 20);
        let client = world.tenant.clients(3, 1).expect("a client").remove(0);
        let chain = client.credentials.chain();
        let device = telerelay_leg::trust::Identity::of(chain).expect("a device");
        let scope = Scope::Device(device.organisation, device.device);
        assert_eq!(world.node.cut(scope, Code::Cut), 1);
        until(|| lines.said("\"ended\":{\"CUT\":1}") > 0).await;
        stopper.stop();
    };
    let (messages, ()) = tokio::join!(run, cut);
    let messages = messages.expect("a run");
    assert_eq!(messages.sessions, 19);
    assert_eq!(messages.ended["CUT"], 1);
    assert!(messages.due > 100, "{messages:?}");
    // All but what was under way when it was cut or stopped.
    assert!(messages.delay.count + 20 >= messages.due, "{messages:?}");
    assert_eq!(lines.summary()["due"], messages.due);
    until(|| world.statistic("live_paths") == 0).await;
    assert_eq!(fleet.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bare_handshakes_come_to_welcome_and_leave_nothing() {
    let world = World::new();
    for arrivals in [
        handshakes::Arrivals::Rate(100.0),
        handshakes::Arrivals::AtOnce(NonZero::new(4).expect("not zero")),
    ] {
        let options = handshakes::Options {
            first: 0,
            clients: 10,
            arrivals,
            lasts: Duration::from_millis(500),
            sources: sources(),
        };
        let (lines, (_stopper, stop)) = (Lines::default(), endless());
        let (tenant, output) = (&world.tenant, lines.output());
        let run = handshakes::run(tenant, &tenant.cluster, options, &output, stop);
        let summary = run.await.expect("a run");
        assert!(summary.done > 10, "{summary:?}");
        assert!(summary.failed.is_empty(), "{summary:?}");
        assert_eq!(summary.welcome.count, summary.done);
        until(|| world.statistic("legs") == 0).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bare_handshakes_say_goodbye() {
    let world = World::new();
    let told = world.folder.path().join("reference.json");
    let options = handshakes::Options {
        first: 0,
        clients: 10,
        arrivals: handshakes::Arrivals::AtOnce(NonZero::new(4).expect("not zero")),
        lasts: Duration::from_millis(200),
        sources: sources(),
    };
    let (lines, (stopper, stop)) = (Lines::default(), endless());
    let output = lines.output();
    let served = reference::run(&world.tenant, &told, None, &output, stop);
    let made = async {
        until(|| lines.said("\"event\":\"listening\"") > 0).await;
        let cluster = Cluster::read(&told).expect("what it wrote");
        let (_stopper, stop) = endless();
        let run = handshakes::run(&world.tenant, &cluster, options, &output, stop).await;
        stopper.stop();
        run.expect("a run").done
    };
    let (served, made) = tokio::join!(served, made);
    let served = served.expect("a run");
    // It takes an end without a goodbye for one that broke off, as those do that are under way when the time is over.
    assert!(made > 10);
    assert!(served.done >= made, "{served:?} of {made}");
    assert!(served.failed <= 4, "{served:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_are_kept_at_their_number_and_only_here() {
    let world = World::new();
    let mut options = strangers::Options {
        to: world.address,
        manner: strangers::Manner::Silent,
        count: 10,
        per_s: 500.0,
        lasts: PATIENCE,
        sources: sources(),
    };
    let (lines, (stopper, stop)) = (Lines::default(), endless());
    let output = lines.output();
    let run = strangers::run(options, &output, stop);
    let seen = async {
        until(|| world.statistic("guests") == 10).await;
        stopper.stop();
    };
    let (counts, ()) = tokio::join!(run, seen);
    let counts = counts.expect("a run");
    assert_eq!((counts.here, counts.refused), (10, 0));
    options.to = "192.0.2.1:8443".parse().expect("an address");
    let (_stopper, stop) = endless();
    let refused = strangers::run(options, &output, stop).await;
    assert!(matches!(refused, Err(LoadError::NotThisMachine(_))));
}

#[test]
fn a_folder_with_fewer_devices_than_asked_for_says_so() {
    let world = World::new();
    let error = world.tenant.clients(48, 3).expect_err("two are left");
    assert_eq!(error.to_string(), "3 clients from 48 on: the folder has 50");
}

async fn until(met: impl Fn() -> bool) {
    let reached = async {
        while !met() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, reached).await.expect("in time");
}
