//! The driver against a node of this process: what it says it did is what the node saw.
use std::collections::BTreeSet;
use std::io::Write;
use std::net::SocketAddr;
use std::num::NonZero;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use telerelay_load::LoadError;

use telerelay_load::commands::{connect, handshakes, hold, reference, strangers};
use telerelay_load::output::{Output, SCHEMA};
use telerelay_load::stop::{Stop, Stopper};
use telerelay_load::tenant::Cluster;
use telerelay_node::Scope;
use telerelay_wire::Code;

mod play;
mod world;

use world::{AGENTS, PATIENCE, World, sources, until};

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
    until(|| fleet.standing().ended.get("DONE") == Some(&60)).await;
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
