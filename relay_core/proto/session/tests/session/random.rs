//! Random runs of a pair: programs that write, stop and freeze, paths that break, go silent, multiply and cut what they
//! carry in any pieces. Every byte arrives once and in order, and the session ends in order.
use std::time::Duration;

use proptest::prelude::*;
use telerelay_session::PathKey;
use telerelay_wire::Code;

use crate::pair::Pair;

/// Something that happens to a pair.
#[derive(Clone, Copy, Debug)]
enum Step {
    DesktopWrites(u32),
    ViewerWrites(u32),
    DesktopFreezes(bool),
    ViewerFreezes(bool),
    /// Time passes, in milliseconds.
    Runs(u16),
    /// So many more records travel, and then none until the next step.
    Travels(u8),
    /// One of the paths breaks.
    Breaks(usize),
    /// One of the paths goes silent.
    Silence(usize),
    Dials,
    /// New paths have this latency, in milliseconds.
    Latency(u8),
    /// All paths deliver in pieces of so many bytes.
    Pieces(u16),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..400_000_u32).prop_map(Step::DesktopWrites),
        4 => (0..100_000_u32).prop_map(Step::ViewerWrites),
        1 => any::<bool>().prop_map(Step::DesktopFreezes),
        1 => any::<bool>().prop_map(Step::ViewerFreezes),
        6 => (0..200_u16).prop_map(Step::Runs),
        1 => (0..30_000_u16).prop_map(Step::Runs),
        4 => (0..20_u8).prop_map(Step::Travels),
        4 => any::<usize>().prop_map(Step::Breaks),
        1 => any::<usize>().prop_map(Step::Silence),
        3 => Just(Step::Dials),
        1 => any::<u8>().prop_map(Step::Latency),
        1 => (1..20_000_u16).prop_map(Step::Pieces),
    ];
    prop::collection::vec(step, 1..40)
}

fn one_of(pair: &Pair, index: usize) -> Option<PathKey> {
    let keys: Vec<_> = pair.wires.keys().copied().collect();
    (!keys.is_empty()).then(|| keys[index % keys.len()])
}

fn take(pair: &mut Pair, step: Step) {
    match step {
        Step::DesktopWrites(n) => {
            pair.desktop.writes = pair.desktop.writes.map(|writes| writes + u64::from(n));
        }
        Step::ViewerWrites(n) => {
            pair.viewer.writes = pair.viewer.writes.map(|writes| writes + u64::from(n));
        }
        Step::DesktopFreezes(frozen) => pair.desktop.frozen = frozen,
        Step::ViewerFreezes(frozen) => pair.viewer.frozen = frozen,
        Step::Runs(ms) => {
            pair.records_limit = u64::MAX;
            pair.run_for(Duration::from_millis(ms.into()));
        }
        Step::Travels(records) => {
            pair.records_limit = pair.records + u64::from(records);
            pair.run_for(Duration::from_millis(5));
        }
        Step::Breaks(index) => {
            if let Some(path) = one_of(pair, index) {
                pair.break_path(path);
            }
        }
        Step::Silence(index) => {
            if let Some(path) = one_of(pair, index) {
                pair.silence(path);
            }
        }
        Step::Dials => {
            pair.dial();
        }
        Step::Latency(ms) => pair.latency = Duration::from_millis(ms.into()),
        Step::Pieces(piece) => {
            pair.piece = piece.into();
            pair.wires
                .values_mut()
                .for_each(|wire| wire.piece = piece.into());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_byte_arrives_once_and_in_order(steps in steps()) {
        let mut pair = Pair::open(600);
        for step in steps {
            take(&mut pair, step);
        }
        pair.records_limit = u64::MAX;
        pair.desktop.frozen = false;
        pair.viewer.frozen = false;
        pair.run_until(Duration::from_hours(1), Pair::is_delivered);
        pair.desktop.ends = true;
        pair.viewer.ends = true;
        pair.run_until(Duration::from_hours(1), |pair| pair.agent_end().is_some() && pair.client_end().is_some());
        let codes = [pair.agent_end(), pair.client_end()].map(|end| end.unwrap().code.code().unwrap());
        prop_assert!(codes.contains(&Code::Done), "{:?}", codes);
        prop_assert!(pair.is_delivered());
    }
}
