//! Plays: each visit at its moment, and all that happened in counts, events and histograms.
use std::collections::BTreeMap;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use telerelay_load::LoadError;
use telerelay_load::play::{Event, Model, Models, Options, Play, Visit};
use telerelay_wire::Code;

use crate::world::{AGENTS, World, sources, until};

const STAGES: [&str; 7] = [
    "dial",
    "hello",
    "accept",
    "inner",
    "auth",
    "open",
    "first_byte",
];
const VISITS: usize = 20;

fn play(world: &World, events: usize) -> Play {
    let text = r#"{"schema": "telerelay.model/1", "name": "busy", "source": "made up", "states": [
        {"name": "typing", "weight": 1, "stay_ms": [[0, 1000], [1, 3000]],
         "up": {"gap_us": [[0, 20000], [1, 60000]], "bytes": [[0, 1], [1, 24]]},
         "down": {"gap_us": [[0, 20000], [1, 60000]], "bytes": [[0, 1000], [1, 30000]]}}]}"#;
    let model = Model::parse(text).expect("a model");
    let options = Options {
        models: Models::new([("busy".to_owned(), model)]).expect("models"),
        agents_from: sources(),
        clients_from: sources(),
        seed: 1,
        events,
    };
    Play::new(&world.tenant, options).expect("a play")
}

fn now_ns() -> u64 {
    let now = Duration::try_from(clock_gettime(ClockId::Monotonic)).expect("a time");
    u64::try_from(now.as_nanos()).expect("584 years")
}

/// 10 ms apart.
fn visits(hold: Duration) -> Vec<Visit> {
    let now = now_ns();
    (0..VISITS)
        .map(|client| Visit {
            at_ns: now + 10_000_000 * client as u64,
            client,
            hold,
            model: "busy".to_owned(),
        })
        .collect()
}

async fn with_agents(world: &World, events: usize) -> Play {
    let play = play(world, events);
    let spread = Duration::from_millis(100);
    play.start_agents(0, AGENTS.into(), spread).expect("agents");
    until(|| play.counts().online == usize::from(AGENTS)).await;
    play
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_stage_of_every_visit_is_told_and_counted_once() {
    let world = World::new();
    let play = with_agents(&world, 1_000).await;
    let mut planned = visits(Duration::from_millis(300));
    // Late by so much already: times count from the moment that was meant.
    planned[0].at_ns -= 2_000_000_000;
    assert_eq!(play.begin(&planned).expect("a plan"), 0);
    until(|| play.counts().ended.values().sum::<u64>() == VISITS as u64).await;
    let counts = play.counts();
    assert_eq!((counts.begun, counts.live, counts.lost_events), (20, 0, 0));
    assert_eq!(counts.ended, BTreeMap::from([("DONE".to_owned(), 20)]));
    assert!(counts.failed.is_empty(), "{counts:?}");
    // Each asked with its first key; what went down with a session was not answered.
    assert_eq!(counts.asked, 20);
    assert!((1..=20).contains(&counts.answered), "{counts:?}");
    assert!(counts.received_bytes > 20 * 1_000, "{counts:?}");

    let mut told: BTreeMap<u64, Vec<Event>> = BTreeMap::new();
    for event in play.events(usize::MAX) {
        told.entry(event.visit).or_default().push(event);
    }
    assert_eq!(told.len(), VISITS);
    for (visit, events) in &told {
        let stages: Vec<_> = events.iter().map(|event| event.stage).collect();
        assert_eq!(stages, [&STAGES[..], &["session"]].concat());
        let at_ns = planned[usize::try_from(*visit).expect("a number")].at_ns;
        assert!(events.iter().all(|event| event.intended_ns == at_ns));
        assert!(events[0].began_ns >= at_ns);
        for pair in events.windows(2) {
            assert_eq!(pair[0].ended_ns, pair[1].began_ns);
            assert_eq!(pair[0].code, None);
        }
        let session = &events[7];
        assert!(session.ended_ns - session.began_ns >= 300_000_000);
        assert_eq!(session.code, Some(Code::Done.into()));
    }

    let histograms = play.histograms();
    let count = |name: &str| histograms[name].iter().map(|(_, count)| count).sum::<u64>();
    for name in STAGES.into_iter().chain(["set_up", "late"]) {
        assert_eq!(count(name), 20, "{name}");
    }
    for name in ["late", "set_up"] {
        let (longest_us, _) = histograms[name].last().expect("twenty");
        assert!(*longest_us >= 2_000_000, "{name}: {longest_us}");
    }
    // One that nobody answered has waited, too.
    assert_eq!(count("delay"), counts.asked);
    assert!(count("message_late") > 20);
    assert_eq!(play.stop().await.expect("an end"), 0);
    until(|| world.statistic("ready_agents") == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_nobody_takes_are_counted_and_not_kept() {
    let world = World::new();
    let play = with_agents(&world, 10).await;
    play.begin(&visits(Duration::ZERO)).expect("a plan");
    until(|| play.counts().ended.values().sum::<u64>() == VISITS as u64).await;
    // The last event of a visit follows its count.
    until(|| play.counts().lost_events == 20 * 8 - 10).await;
    assert_eq!(play.events(usize::MAX).len(), 10);
    assert_eq!(play.events(usize::MAX).len(), 0);
    assert_eq!(play.stop().await.expect("an end"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn visits_are_ended_wherever_they_stand() {
    let world = World::new();
    let play = with_agents(&world, 1_000).await;
    let mut planned = visits(Duration::from_hours(1));
    for late in &mut planned[10..] {
        late.at_ns += 3_600_000_000_000;
    }
    let first = play.begin(&planned[..10]).expect("a plan");
    let behind = play.begin(&planned[10..]).expect("a plan");
    assert_eq!(behind, first + 10, "no number is given twice");
    until(|| play.counts().live == 10).await;
    play.end(first + 3);
    until(|| play.counts().live == 9).await;
    assert_eq!(play.counts().ended["DONE"], 1);
    assert_eq!(play.stop().await.expect("an end"), 0);
    let counts = play.counts();
    assert_eq!(
        (counts.begun, counts.live),
        (10, 0),
        "an hour was not waited for"
    );
    assert_eq!(counts.ended, BTreeMap::from([("DONE".to_owned(), 10)]));
    let refused = play.begin(&planned).expect_err("it was stopped");
    assert!(matches!(refused, LoadError::Usage(_)), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_visit_that_comes_nowhere_is_told_with_its_stage_and_code() {
    let world = World::new();
    let play = play(&world, 1_000);
    // Its agent is not there.
    play.begin(&visits(Duration::ZERO)[..1]).expect("a plan");
    until(|| !play.counts().failed.is_empty()).await;
    until(|| play.counts().begun == 1).await;
    let failed = play.counts().failed;
    let ((stage, code), count) = failed.first_key_value().expect("one");
    assert_eq!((*stage, *count), ("accept", 1), "{failed:?}");
    let told = play.events(usize::MAX);
    let last = told.last().expect("events");
    assert_eq!(last.stage, "accept");
    assert_eq!(last.code.as_ref().expect("a code").to_string(), *code);
    assert!(
        told[..told.len() - 1]
            .iter()
            .all(|event| event.code.is_none())
    );
    play.stop().await.expect("an end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_that_cannot_be_kept_is_refused_whole() {
    let world = World::new();
    let play = play(&world, 1_000);
    let mut planned = visits(Duration::ZERO);
    planned[19].model = "idle".to_owned();
    let refused = play.begin(&planned).expect_err("no such model");
    assert_eq!(refused.to_string(), "the screen model: there is no idle");
    planned[19] = planned[0].clone();
    planned[19].client = 50;
    let refused = play.begin(&planned).expect_err("no such client");
    assert_eq!(
        refused.to_string(),
        "1 clients from 50 on: the folder has 50"
    );
    assert_eq!(play.begin(&[]).expect("nothing"), 0, "no number was taken");
    play.stop().await.expect("an end");
    assert_eq!(play.counts().begun, 0);
}
