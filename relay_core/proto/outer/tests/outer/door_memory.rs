//! A node that is short of memory: when it refuses, whom it sends away, and when it lets newcomers in again (PROTOCOL.md §1.3).
use telerelay_outer::door::{
    Bound, Command, Config, Door, Guest, Look, Origin, Step, Verdict, relieve,
};
use telerelay_wire::{Moment, limits};

use crate::bench::{ms, secs};

const LEG: u64 = limits::MEMORY_PER_LEG;
const API: u64 = limits::MEMORY_PER_API;
const BUDGET: u64 = 1_000 * LEG;
const LOW: u64 = 950 * LEG;

fn door() -> Door {
    Door::new(Config {
        places: 100,
        handshakes_per_s: 1_000,
        memory_budget: BUDGET,
    })
}

fn commands(door: &mut Door) -> Vec<Command> {
    std::iter::from_fn(|| door.poll_command()).collect()
}

/// A node whose connections come and go, and whose process keeps a part of what they had.
struct Process {
    door: Door,
    now: Moment,
    /// Memory of everything but connections.
    rest: u64,
    connections: u64,
    /// Of a hundred bytes that are freed, so many stay with the process.
    keeps: u64,
    /// What it has kept and nobody uses.
    kept: u64,
    verdicts: Vec<Verdict>,
}

impl Process {
    fn new(keeps: u64) -> Self {
        Self {
            door: door(),
            now: Moment::ZERO,
            rest: 100 * LEG,
            connections: 0,
            keeps,
            kept: 0,
            verdicts: Vec::new(),
        }
    }

    fn used(&self) -> u64 {
        self.rest + self.connections * LEG + self.kept
    }

    fn come(&mut self, connections: u64) {
        self.kept = self.kept.saturating_sub(connections * LEG);
        self.connections += connections;
    }

    fn leave(&mut self, connections: u64) {
        self.connections -= connections;
        self.kept += connections * LEG * self.keeps / 100;
    }

    /// A second passes. How many were sent away; they are gone at once.
    fn look(&mut self) -> u64 {
        self.now += limits::MEMORY_LOOK;
        let look = Look::new(self.used(), self.connections, 0);
        let verdict = self.door.look(look, self.now);
        self.verdicts.push(verdict);
        let Verdict::Shed(excess) = verdict else {
            return 0;
        };
        let mut gone = 0;
        relieve(excess, |step, most| match step {
            Step::Ready => {
                gone = self.connections.min(most as u64);
                usize::try_from(gone).expect("fits")
            }
            _ => 0,
        });
        self.leave(gone);
        gone
    }

    fn is_short(&self) -> bool {
        self.door.census().short
    }
}

// ---------------------------------------------------------------- in which order, and how many

#[test]
fn who_goes_is_decided_by_the_order_and_how_many_by_the_excess() {
    let there = |step| match step {
        Step::Idle => 0..=3_usize,
        Step::Api => 0..=2,
        Step::Ready => 0..=20,
        Step::New => unreachable!(),
    };
    let bytes = |step| if step == Step::Api { API } else { LEG };
    let steps = [Step::Idle, Step::Api, Step::Ready];
    for idle in there(Step::Idle) {
        for api in there(Step::Api) {
            for ready in there(Step::Ready) {
                for eighths in 0..=24 * 8 {
                    let excess = eighths * LEG / 8;
                    let there = [idle, api, ready];
                    let mut gone = [0; 3];
                    let mut asked = Vec::new();
                    relieve(excess, |step, most| {
                        let place = steps.iter().position(|&one| one == step).expect("a step");
                        asked.push(step);
                        gone[place] = there[place].min(most);
                        gone[place]
                    });
                    assert!(asked.is_sorted(), "{asked:?}");
                    for later in 1..3 {
                        let before = gone[..later] == there[..later];
                        assert!(before || gone[later] == 0, "{there:?} {excess} {gone:?}");
                    }
                    let explained = |gone: &[usize; 3]| {
                        (0..3)
                            .map(|n| gone[n] as u64 * bytes(steps[n]))
                            .sum::<u64>()
                    };
                    assert!(explained(&gone) >= excess || gone == there);
                    // Without the last of them it would not have been enough.
                    if let Some(last) = (0..3).rev().find(|&place| gone[place] > 0) {
                        gone[last] -= 1;
                        assert!(explained(&gone) < excess, "{there:?} {excess} {gone:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn paths_are_nobody_who_is_asked_to_go() {
    let mut asked = Vec::new();
    relieve(u64::MAX, |step, _| {
        asked.push(step);
        0
    });
    assert_eq!(asked, [Step::Idle, Step::Api, Step::Ready]);
}

// ---------------------------------------------------------------- when

/// Every sequence of looks at a node whose connections stay as they are, against the rule in words.
#[test]
fn each_sequence_of_looks_has_the_verdicts_of_the_rule() {
    const LOOKS: u32 = 8;
    let levels = [LOW, LOW + 1, BUDGET, BUDGET + 1, BUDGET + 9 * LEG];
    for number in 0..levels.len().pow(LOOKS) {
        let (mut door, mut now, mut left) = (door(), Moment::ZERO, number);
        let (mut refused, mut shed): (Option<Moment>, Option<Moment>) = (None, None);
        for _ in 0..LOOKS {
            let used = levels[left % levels.len()];
            left /= levels.len();
            now += limits::MEMORY_LOOK;
            let passed = |since: Moment| now >= since + limits::MEMORY_PAUSE;
            let expected = match (refused, shed, used) {
                (None, _, ..=BUDGET) => Verdict::AsBefore,
                (None, _, _) => Verdict::Refuse,
                (Some(_), Some(shed), _) if !passed(shed) => Verdict::AsBefore,
                (Some(refused), None, ..=BUDGET) if !passed(refused) => Verdict::AsBefore,
                (Some(_), _, ..=LOW) => Verdict::Admit,
                (Some(_), _, _) => Verdict::Shed(used - LOW),
            };
            match expected {
                Verdict::AsBefore => {}
                Verdict::Refuse => refused = Some(now),
                Verdict::Shed(_) => shed = Some(now),
                Verdict::Admit => (refused, shed) = (None, None),
            }
            assert_eq!(door.look(Look::new(used, 0, 0), now), expected, "{number}");
            assert_eq!(door.census().short, refused.is_some());
            assert_eq!(door.census().memory, used);
        }
    }
}

#[test]
fn a_node_within_its_budget_sends_nobody_away() {
    let mut process = Process::new(100);
    process.come(900);
    for _ in 0..60 {
        process.look();
    }
    assert!(
        process
            .verdicts
            .iter()
            .all(|&verdict| verdict == Verdict::AsBefore)
    );
}

// ---------------------------------------------------------------- with a process that keeps memory

#[test]
fn nobody_goes_for_memory_that_the_process_keeps() {
    for keeps in 0..=100 {
        let mut process = Process::new(keeps);
        process.come(1_000);
        let gone: u64 = (0..60).map(|_| process.look()).sum();
        // 1,100 legs' worth of memory, of which 150 are above the low mark.
        assert_eq!(gone, 150, "{keeps} % kept: {:?}", process.verdicts);
        assert!(!process.is_short(), "{keeps} % kept");
        assert_eq!(
            process.verdicts[..2],
            [Verdict::Refuse, Verdict::Shed(150 * LEG)]
        );
    }
}

#[test]
fn nobody_goes_for_memory_of_those_who_left_by_themselves() {
    for keeps in 0..=100 {
        let mut process = Process::new(keeps);
        process.come(1_000);
        process.look();
        process.leave(900);
        let gone: u64 = (0..60).map(|_| process.look()).sum();
        assert_eq!(gone, 0, "{keeps} % kept: {:?}", process.verdicts);
        assert!(!process.is_short(), "{keeps} % kept");
    }
}

#[test]
fn newcomers_use_what_was_kept_and_it_is_held_against_them() {
    let mut process = Process::new(100);
    process.come(1_000);
    for _ in 0..10 {
        process.look();
    }
    assert!(!process.is_short());
    process.verdicts.clear();
    // As many as fit between the low mark and the budget.
    process.come(50);
    assert_eq!(process.look(), 0);
    assert!(!process.is_short());
    // The memory is not one byte more than it was, but one connection is one too many.
    process.come(1);
    let used = process.used();
    process.look();
    assert_eq!(used, 1_100 * LEG);
    assert_eq!(process.verdicts, [Verdict::AsBefore, Verdict::Refuse]);
    assert_eq!(process.look(), 51);
}

#[test]
fn what_grows_besides_connections_is_not_excused_by_what_is_kept() {
    let mut process = Process::new(100);
    process.come(1_000);
    for _ in 0..10 {
        process.look();
    }
    assert!(!process.is_short());
    process.rest += 51 * LEG;
    assert_eq!(process.look(), 0);
    assert!(process.is_short());
    assert_eq!(process.look(), 101 - 50);
}

/// Connections that come and go while the memory is what it is do not hide it.
#[test]
fn coming_and_going_excuses_nothing() {
    let mut process = Process::new(0);
    process.rest = BUDGET + LEG;
    process.look();
    for _ in 0..20 {
        process.come(500);
        process.look();
        process.leave(process.connections);
        process.look();
    }
    assert!(process.is_short());
    assert!(!process.verdicts.contains(&Verdict::Admit));
}

#[test]
fn a_flood_that_goes_on_takes_turns_with_itself() {
    for keeps in [0, 50, 100] {
        let mut process = Process::new(keeps);
        let old = 500;
        process.come(old);
        let mut changes = 0;
        for _ in 0..600 {
            let was = process.is_short();
            if !was {
                process.come(40);
            }
            process.look();
            changes += u32::from(process.is_short() != was);
            // The newest go, so whoever was there before the flood stays.
            assert!(process.connections >= old);
        }
        // At most once in two looks up to the budget, one to give back, and the pause.
        assert!(changes <= 2 * 600 / 8, "{keeps} % kept: {changes}");
    }
}

#[test]
fn it_does_not_stand_between_budget_and_low_mark_for_ever() {
    let mut process = Process::new(0);
    process.come(901);
    process.look();
    process.leave(1);
    let gone: Vec<_> = (0..12).map(|_| process.look()).collect();
    // Refusing newcomers was enough for the budget; after its time the rest follows.
    assert_eq!(gone[..6], [0, 0, 0, 0, 50, 0]);
    assert!(!process.is_short());
}

#[test]
fn where_nobody_can_go_it_stays_short_and_asks_again_after_each_pause() {
    let mut process = Process::new(0);
    process.rest = BUDGET + LEG;
    for _ in 0..21 {
        process.look();
    }
    let shed = |verdict: &&Verdict| matches!(verdict, Verdict::Shed(_));
    assert_eq!(process.verdicts.iter().filter(shed).count(), 4);
    process.rest = LOW;
    for _ in 0..5 {
        process.look();
    }
    assert!(!process.is_short());
}

// ---------------------------------------------------------------- the door meanwhile

/// A guest whose `ClientHello` is whole.
fn knocks(door: &mut Door, number: u64, now: Moment) -> Guest {
    let guest = Guest(number);
    door.arrive(guest, Origin::V4(1), usize::MAX, now);
    door.hello(guest, now);
    guest
}

#[test]
fn no_handshake_begins_while_memory_is_short() {
    let (mut door, now) = (door(), Moment(1_000_000));
    let in_handshake = knocks(&mut door, 0, now);
    assert_eq!(commands(&mut door), [Command::Begin(in_handshake)]);
    assert_eq!(door.look(Look::new(BUDGET + 1, 0, 0), now), Verdict::Refuse);
    assert_eq!(commands(&mut door), [], "what began goes on");
    let newcomer = knocks(&mut door, 1, now);
    assert_eq!(
        commands(&mut door),
        [Command::Refuse(newcomer, Bound::Memory)]
    );
    door.timeout(now + secs(1));
    assert_eq!(commands(&mut door), []);
    let later = now + limits::MEMORY_PAUSE;
    assert_eq!(door.look(Look::new(LOW, 0, 0), later), Verdict::Admit);
    let next = knocks(&mut door, 2, later);
    assert_eq!(commands(&mut door), [Command::Begin(next)]);
}

#[test]
fn whoever_waits_in_line_is_told_at_once() {
    let mut door = Door::new(Config {
        places: 100,
        handshakes_per_s: 10,
        memory_budget: BUDGET,
    });
    let now = Moment(1_000_000);
    let guests: Vec<_> = (0..8)
        .map(|number| knocks(&mut door, number, now))
        .collect();
    assert_eq!(commands(&mut door), [Command::Begin(guests[0])]);
    assert_eq!(door.census().waiting, 7);
    door.look(Look::new(BUDGET + 1, 0, 0), now + ms(1));
    let refused: Vec<_> = guests[1..]
        .iter()
        .map(|&guest| Command::Refuse(guest, Bound::Memory))
        .collect();
    assert_eq!(commands(&mut door), refused);
    let census = door.census();
    assert_eq!((census.waiting, census.guests), (0, 8));
    assert_eq!(door.next_timeout(), None);
}
