//! What an end may do wrong with SWITCH: its own session ends with its code, another one notices nothing, nothing is left behind
//! (PROTOCOL.md §6).
//!
//! A test binary of its own whose tests have their turns: descriptors are the process's.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#[path = "../node/credulous.rs"]
mod credulous;
#[path = "../node/kit.rs"]
#[expect(dead_code, reason = "shared with the tests of ordinary nodes")]
mod kit;
#[path = "../node/peer.rs"]
#[expect(dead_code, reason = "shared with the tests of ordinary nodes")]
mod peer;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use telerelay_mint::Minted;
use telerelay_node::Scope;
use telerelay_outer::PathKind;
use telerelay_outer::node::Terminal;
use telerelay_wire::Code;
use telerelay_wire::ids::PathId;
use telerelay_wire::outer::Frame;
use tokio::runtime::Builder;
use tokio::time::{sleep, timeout};

use kit::{COMPUTER, Endpoint, Got, World, pattern, session_end};
use peer::{Came, Peer, SWITCH};

/// Connections of the session beside: its legs, and its agent's next ready one.
const BESIDE: u64 = 3;

/// Open descriptors of this process.
fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Waits until there are so many: what is over is closed a moment after it was counted.
async fn descriptors_are(expected: usize) {
    let settled = async {
        while descriptors() != expected {
            sleep(Duration::from_millis(5)).await;
        }
    };
    let in_time = timeout(Duration::from_secs(10), settled).await.is_ok();
    assert!(in_time, "{} descriptors, not {expected}", descriptors());
}

/// Runs a test while no other one does.
fn alone(test: impl AsyncFnOnce(&mut Scene)) {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut scene = Scene::new().await;
        test(&mut scene).await;
        scene.part().await;
    });
}

/// A node with a direct session that nobody may disturb, and a pair of ends that do it wrong.
struct Scene {
    world: World,
    beside: (Peer, Peer, Reporter),
    agent: Minted,
    client: Minted,
    /// With the session beside alone.
    descriptors: usize,
}

/// The agent's next ready connection, and the path that it reports the end of.
struct Reporter {
    ready: Endpoint,
    path: PathId,
}

impl Scene {
    async fn new() -> Self {
        let mut world = World::new();
        let organisation = &world.organisation;
        let (agent, client) = (organisation.agent(COMPUTER), organisation.client());
        let ends = (organisation.agent(COMPUTER), organisation.client());
        let (mut at_agent, mut at_client, request) = world.peers(&ends.0, &ends.1).await;
        let ready = world.ready(&ends.0).await;
        let path = request.path;
        at_client.put_down().await;
        at_agent.put_down().await;
        at_client.is_answered().await;
        at_agent.is_answered().await;
        world.until("engine.paths", 1).await;
        world.until("connections", BESIDE).await;
        Self {
            world,
            beside: (at_agent, at_client, Reporter { ready, path }),
            agent,
            client,
            descriptors: descriptors(),
        }
    }

    /// A path of the pair: the agent's end, the client's, and who reports.
    async fn pair(&mut self) -> (Peer, Peer, Reporter) {
        let (at_agent, at_client, request) = self.world.peers(&self.agent, &self.client).await;
        let ready = self.world.ready(&self.agent).await;
        let path = request.path;
        (at_agent, at_client, Reporter { ready, path })
    }

    async fn beside_runs(&mut self) {
        let (agent, client, _) = &mut self.beside;
        agent.say(b"a frame").await;
        assert_eq!(client.hears(7).await, b"a frame");
        client.say(b"typed").await;
        assert_eq!(agent.hears(5).await, b"typed");
    }

    /// The node ends when nobody is left who would keep it waiting.
    async fn part(mut self) {
        let (at_agent, at_client, mut reporter) = self.beside;
        drop((at_agent, at_client));
        let report = session_end(reporter.path, Code::Done);
        reporter.ready.send(report).await;
        assert_eq!(self.world.ended().await.code, Code::Done);
        self.world.drop_node();
        self.world.stopped_once().await;
    }

    /// Both ends are gone, and the agent says as what: how the session is recorded. Nothing of it is left then.
    async fn ends(&mut self, mut reporter: Reporter, reported: Code) -> Terminal {
        let report = session_end(reporter.path, reported);
        reporter.ready.send(report).await;
        let terminal = self.world.ended().await;
        drop(reporter);
        self.beside_runs().await;
        self.world.until("connections", BESIDE).await;
        for (name, left) in [
            ("live_paths", 1),
            ("engine.paths", 1),
            ("engine.pipes_used", 0),
        ] {
            self.world.until(name, left).await;
        }
        let pipes = usize::try_from(self.world.statistic("engine.pipes_free")).unwrap();
        descriptors_are(self.descriptors + 2 * pipes).await;
        terminal
    }
}

#[test]
fn more_in_the_record_of_switch_is_a_breach_of_whoever_sent_it() {
    alone(async |scene| {
        for behind in [SWITCH, b"\0\0\x30\x01", b"\x16\x03\x03"] {
            let (mut at_agent, mut at_client, reporter) = scene.pair().await;
            let record = at_client.record(&[SWITCH, behind].concat());
            at_client.send(&record).await;
            at_client.is_over().await;
            at_agent.is_over().await;
            drop((at_agent, at_client));
            // The node's word counts, not the agent's.
            let terminal = scene.ends(reporter, Code::PathLost).await;
            assert_eq!(terminal.code, Code::BadFrame, "{behind:?}");
            assert!(scene.world.statistic("paths_ended.breach.none") > 0);
            assert_eq!(terminal.path_kind, Some(PathKind::Wrapped));
        }
    });
}

#[test]
fn whoever_resets_at_the_switch_loses_its_own_path() {
    alone(async |scene| {
        for agent_too in [false, true] {
            let (mut at_agent, mut at_client, reporter) = scene.pair().await;
            if agent_too {
                at_agent.put_down().await;
            }
            at_client.put_down().await;
            at_client.socket.set_zero_linger().unwrap();
            drop(at_client);
            at_agent.is_over().await;
            drop(at_agent);
            let terminal = scene.ends(reporter, Code::PathLost).await;
            assert_eq!(terminal.code, Code::PathLost);
        }
    });
}

#[test]
fn whoever_ends_its_half_at_the_switch_still_hears_the_other() {
    alone(async |scene| {
        for agent_too in [false, true] {
            let (mut at_agent, mut at_client, reporter) = scene.pair().await;
            if agent_too {
                at_agent.put_down().await;
            }
            at_client.put_down().await;
            at_client.end().await;
            while at_agent.came().await != Came::End {}
            at_agent.say(b"still").await;
            assert_eq!(at_client.hears(5).await, b"still");
            at_agent.end().await;
            at_client.is_over().await;
            drop((at_agent, at_client));
            let terminal = scene.ends(reporter, Code::ViewerGone).await;
            assert_eq!(terminal.code, Code::ViewerGone);
        }
    });
}

/// The node cannot tell it from inner TLS, whose other end can.
#[test]
fn what_is_no_tls_behind_switch_is_carried_to_whoever_can_judge_it() {
    alone(async |scene| {
        for agent_too in [false, true] {
            for again in [false, true] {
                let (mut at_agent, mut at_client, reporter) = scene.pair().await;
                if agent_too {
                    at_agent.put_down().await;
                }
                at_client.put_down().await;
                let wrong = if again {
                    // SWITCH once more, in outer TLS.
                    at_client.record(SWITCH)
                } else {
                    b"GET / HTTP/1.1\r\n\r\n".to_vec()
                };
                at_client.send(&wrong).await;
                assert_eq!(at_agent.hears(wrong.len()).await, wrong);
                drop((at_agent, at_client));
                let terminal = scene.ends(reporter, Code::PathLost).await;
                assert_eq!(terminal.code, Code::PathLost);
                assert_eq!(terminal.traffic.to_agent, wrong.len() as u64);
            }
        }
    });
}

#[test]
fn whoever_never_reads_holds_one_pipe_until_its_session_is_cut() {
    alone(async |scene| {
        let (mut at_agent, mut at_client, mut reporter) = scene.pair().await;
        at_client.narrow();
        at_client.put_down().await;
        at_agent.put_down().await;
        at_client.is_answered().await;
        at_agent.is_answered().await;
        let much = pattern(64 << 20, 1);
        tokio::select! {
            () = at_agent.say(&much) => panic!("somebody took all of it"),
            () = stands_still(&scene.world) => {}
        }
        assert!(scene.world.statistic("engine.pipes_used") <= 1);
        scene.beside_runs().await;
        let whose = Scope::Device(scene.world.organisation.id(), scene.client.device);
        assert_eq!(scene.world.node.cut(whose, Code::Cut), 1);
        let Got::Frame(Frame::Cut(cut)) = reporter.ready.got().await else {
            panic!("the agent is told why")
        };
        assert_eq!(cut.path, reporter.path);
        // Both are closed, though the client has not read what came before.
        at_agent.is_over().await;
        drop(at_agent);
        scene.world.until("engine.paths", 1).await;
        drop(at_client);
        let terminal = scene.ends(reporter, Code::Done).await;
        assert_eq!(terminal.code, Code::Cut);
        assert_eq!(terminal.path_kind, Some(PathKind::Direct));
    });
}

/// Returns when nothing was carried to clients for a while.
async fn stands_still(world: &World) {
    const LOOKS: u32 = 40;

    let (mut carried, mut looks) = (0, 0);
    while looks < LOOKS {
        sleep(Duration::from_millis(5)).await;
        let now = world.statistic("bytes_to_client");
        looks = if now == carried { looks + 1 } else { 0 };
        carried = now;
    }
}
