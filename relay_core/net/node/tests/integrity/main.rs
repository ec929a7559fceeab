//! No byte of one session in another: thousands of them through a whole node with few pipes, many of them broken on the
//! way, each with patterns of its own.
//!
//! A test binary of its own: descriptors are the process's.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#[path = "../node/credulous.rs"]
mod credulous;
#[path = "../node/kit.rs"]
#[expect(dead_code, reason = "shared with the tests of ordinary nodes")]
mod kit;
#[path = "../node/peer.rs"]
#[expect(dead_code, reason = "shared with the tests of ordinary nodes")]
mod peer;

mod engine;

use std::net::TcpStream;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use telerelay_mint::Minted;
use telerelay_node::{Scope, Side};
use telerelay_wire::Code;
use telerelay_wire::ids::ComputerId;
use telerelay_wire::limits::{DESCRIPTORS_KEPT, DESCRIPTORS_PER_WORKER, GUESTS_LEAST};
use tokio::task::spawn_blocking;

use engine::endpoint::Endpoint;
use engine::exchange::{Exchange, Fault, run};
use engine::kit::{Numbers, Pattern, descriptors};
use kit::World;
use peer::Peer;

/// Sets of sessions that are live at once, one after the other, and sessions of a set.
const SETS: u64 = 63;
const LIVE: u64 = 32;
const WORKERS: usize = 2;
/// Beyond the fewest, a quarter of which is for pipes: five of each worker, for the 32 directions that it carries.
const SPARE: usize = 88;
const THREADS: u64 = 2;
/// Inner bytes that pass each way before SWITCH.
const WRAPPED: usize = 700;

/// What happens to a session on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It ends by itself.
    Whole,
    AgentResets,
    ClientResets,
    /// The node cuts it.
    Cut,
}

/// A node with few descriptors, as far as it knows.
fn small_node() -> World {
    let fewest = DESCRIPTORS_KEPT + WORKERS * DESCRIPTORS_PER_WORKER + GUESTS_LEAST;
    let before = getrlimit(Resource::Nofile);
    let few = Rlimit {
        current: Some((fewest + SPARE) as u64),
        maximum: before.maximum,
    };
    setrlimit(Resource::Nofile, few).unwrap();
    let world = World::with(WORKERS, &[Side::Both]);
    setrlimit(Resource::Nofile, before).unwrap();
    world
}

#[tokio::test]
async fn no_byte_of_one_session_is_in_another() {
    let before = descriptors();
    let mut world = small_node();
    // Its listener, and what its memory is looked at through.
    let with_node = before + 2 + WORKERS * DESCRIPTORS_PER_WORKER;
    assert_eq!(descriptors(), with_node);
    let agents: Vec<_> = (0..8)
        .map(|number| world.organisation.agent(ComputerId([number; 10])))
        .collect();
    let mut numbers = Numbers(7);
    for set in 0..SETS {
        let mut exchanges: Vec<Vec<Exchange>> = (0..THREADS).map(|_| Vec::new()).collect();
        for number in 0..LIVE {
            let agent = &agents[numbers.below(agents.len())];
            let exchange = begin(&mut world, agent, set * LIVE + number, &mut numbers).await;
            exchanges[usize::try_from(number % THREADS).unwrap()].push(exchange);
        }
        world.until("live_paths.direct.staff", LIVE).await;
        let threads: Vec<_> = exchanges
            .into_iter()
            .zip(set..)
            .map(|(mine, seed)| spawn_blocking(move || run(mine.into_iter(), &mut Numbers(seed))))
            .collect();
        for thread in threads {
            thread.await.unwrap();
        }
        world.until("live_paths", 0).await;
    }
    world.until("engine.paths", 0).await;
    world.until("connections", 0).await;
    for name in ["engine.lingering", "engine.pipes_used", "panics"] {
        assert_eq!(world.statistic(name), 0, "{name}");
    }
    // Everything that may go wrong with a pipe has happened.
    for name in [
        "engine.bytes_spliced",
        "engine.pipes_missed",
        "engine.pipes_destroyed",
    ] {
        assert!(world.statistic(name) > 0, "{name}");
    }
    let pipes = usize::try_from(world.statistic("engine.pipes_free")).unwrap();
    assert_eq!(descriptors(), with_node + 2 * pipes);
}

/// A session whose both ends have put their outer TLS down.
async fn begin(world: &mut World, agent: &Minted, seed: u64, numbers: &mut Numbers) -> Exchange {
    let fate = match numbers.below(10) {
        0 => Fate::AgentResets,
        1 => Fate::ClientResets,
        2 => Fate::Cut,
        _ => Fate::Whole,
    };
    // Its own: it is cut by its name.
    let client = world.organisation.client();
    let (mut at_agent, mut at_client, _) = world.peers(agent, &client).await;
    let (down, up) = (Pattern(2 * seed), Pattern(2 * seed + 1));
    let (first_down, first_up) = (down.bytes(WRAPPED), up.bytes(WRAPPED));
    at_agent.say(&first_down).await;
    at_client.say(&first_up).await;
    at_agent.put_down().await;
    at_client.put_down().await;
    assert!(at_client.hears(WRAPPED).await == first_down);
    assert!(at_agent.hears(WRAPPED).await == first_up);
    for end in [&mut at_agent, &mut at_client] {
        if !end.reads_raw {
            end.is_answered().await;
        }
    }
    let mut lengths = [
        numbers.length(256 << 10) as u64,
        numbers.length(256 << 10) as u64,
    ];
    let bulk = numbers.below(4) == 0;
    if bulk {
        // More than the kernel holds for an end that reads seldom: its pipe stays full for a while.
        at_client.narrow();
        lengths[0] += 1 << 20;
    }
    let whose = Scope::Device(world.organisation.id(), client.device);
    let node = world.node.clone();
    Exchange {
        agent: Endpoint::new(raw(at_agent), down, lengths[0], up, numbers.below(4) == 0),
        client: Endpoint::new(raw(at_client), up, lengths[1], down, bulk),
        fault: Some(Fault {
            at: numbers.next() % lengths[0],
            happen: Box::new(move |agent, client| match fate {
                Fate::Whole => {}
                Fate::AgentResets => agent.reset(),
                Fate::ClientResets => client.reset(),
                Fate::Cut => assert!(node.cut(whose, Code::Cut) <= 1),
            }),
        }),
        through: Box::new(move |arrived| {
            if fate == Fate::Whole {
                assert_eq!(arrived, lengths);
            }
        }),
    }
}

/// What both ends send and read from here on is raw.
fn raw(end: Peer) -> TcpStream {
    end.socket.into_std().unwrap()
}
