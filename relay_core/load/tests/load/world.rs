//! A node of this process, and an organisation that it has admitted.
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak, mpsc};
use std::thread;
use std::time::Duration;

use telerelay_leg::credentials::Credentials;
use telerelay_leg::trust::{Anchor, Pins};

use telerelay_load::fleet::{Fleet, Office};
use telerelay_load::play::Models;
use telerelay_load::sources::Sources;
use telerelay_load::tenant::{Cluster, Tenant};
use telerelay_mint as mint;
use telerelay_node::{Config, Decision, Event, Node, Side, Standing, Told};
use telerelay_wire::ids::{Address, ClientAddress, ComputerId, DeviceId, NodeAddress, NodeName};
use tempfile::TempDir;
use tokio::time::timeout;

pub(crate) const AGENTS: u8 = 50;
/// Longer than any timer of the protocol: a condition that has not come by then never comes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A node, and an organisation in a folder that it has admitted.
pub(crate) struct World {
    pub(crate) node: Arc<Node>,
    pub(crate) address: SocketAddr,
    pub(crate) tenant: Tenant,
    /// Where clients asked from.
    pub(crate) asked_from: Arc<Mutex<Vec<ClientAddress>>>,
    pub(crate) folder: TempDir,
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
    pub(crate) fn new() -> Self {
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
    pub(crate) async fn fleet(&self) -> Fleet {
        let count = usize::from(AGENTS);
        let devices = self.tenant.agents(0, count).expect("agents");
        let mut fleet = Fleet::start(
            &self.tenant,
            devices,
            0,
            sources(),
            Office::Own(Models::default()),
        )
        .expect("a fleet");
        for percent in [99, 100] {
            let moment = timeout(PATIENCE, fleet.moment()).await.expect("in time");
            assert_eq!((moment.event, moment.percent), ("ready", Some(percent)));
        }
        assert_eq!(self.statistic("ready_agents"), u64::from(AGENTS));
        fleet
    }

    pub(crate) fn statistic(&self, name: &str) -> u64 {
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

pub(crate) fn sources() -> Sources {
    Sources::new(Some("127.5.0.0/24".parse().expect("a network")))
}

pub(crate) async fn until(met: impl Fn() -> bool) {
    let reached = async {
        while !met() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, reached).await.expect("in time");
}
