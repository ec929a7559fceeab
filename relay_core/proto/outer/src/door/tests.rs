//! The door against a model that looks at everybody: who goes, who begins, and that nobody is forgotten.
use core::time::Duration;
use std::collections::BTreeMap;

use proptest::prelude::*;
use telerelay_wire::{Moment, limits};

use super::{Bound, Command, Config, Door, Guest, Origin, share};

const PLACES: usize = 6;
const MILLISECOND: Duration = Duration::from_millis(1);

/// What a guest is to the model.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Model {
    origin: Origin,
    until: Moment,
    spoke: bool,
    waiting: Option<Moment>,
    /// Its handshake began or was refused, and it is not at the API.
    answered: bool,
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Arrive(Origin),
    Hello(usize),
    Stay(usize),
    Leave(usize),
    Pass(u64),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let origin = prop_oneof![
        1 => Just(Origin::Trusted),
        3 => (0_u32..4).prop_map(Origin::V4),
        1 => (0_u64..2).prop_map(Origin::V6),
    ];
    let act = prop_oneof![
        5 => origin.prop_map(Act::Arrive),
        5 => (0_usize..PLACES).prop_map(Act::Hello),
        1 => (0_usize..PLACES).prop_map(Act::Stay),
        2 => (0_usize..PLACES).prop_map(Act::Leave),
        3 => (0_u64..700).prop_map(Act::Pass),
    ];
    proptest::collection::vec(act, 0..200)
}

/// A door, the model beside it, and every handshake that began.
struct World {
    door: Door,
    guests: BTreeMap<Guest, Model>,
    next: u64,
    now: Moment,
    rate: u32,
    began: Vec<Moment>,
}

impl World {
    fn new(rate: u32) -> Self {
        Self {
            door: Door::new(Config {
                places: PLACES,
                handshakes_per_s: rate,
                memory_budget: u64::MAX,
            }),
            guests: BTreeMap::new(),
            next: 0,
            now: Moment(1_000_000),
            rate,
            began: Vec::new(),
        }
    }

    fn act(&mut self, act: Act) {
        let picked = |number: usize| self.guests.keys().nth(number).copied();
        match act {
            Act::Arrive(origin) => self.arrive(origin),
            Act::Hello(number) => {
                if let Some(guest) = picked(number) {
                    self.hello(guest);
                }
            }
            Act::Stay(number) => {
                if let Some(guest) = picked(number) {
                    self.door.stays(guest, usize::MAX, self.now);
                    let now = self.now;
                    let model = self.model(guest);
                    if core::mem::replace(&mut model.answered, false) {
                        model.until = now + limits::API_ANSWER_ANONYMOUS;
                    }
                }
            }
            Act::Leave(number) => {
                if let Some(guest) = picked(number) {
                    self.door.leave(guest);
                    self.guests.remove(&guest);
                }
            }
            Act::Pass(milliseconds) => {
                self.now += MILLISECOND * u32::try_from(milliseconds).unwrap();
                self.door.timeout(self.now);
            }
        }
        self.take(None);
        self.check();
    }

    fn model(&mut self, guest: Guest) -> &mut Model {
        self.guests.get_mut(&guest).unwrap()
    }

    fn arrive(&mut self, origin: Origin) {
        let guest = Guest(self.next);
        self.next += 1;
        let model = Model {
            origin,
            until: self.now + limits::CLIENT_HELLO,
            spoke: false,
            waiting: None,
            answered: false,
        };
        self.guests.insert(guest, model);
        self.door.arrive(guest, origin, usize::MAX, self.now);
        let goes = (self.guests.len() > PLACES).then(|| self.one_too_many(guest));
        self.take(goes);
    }

    fn hello(&mut self, guest: Guest) {
        let now = self.now;
        let model = self.model(guest);
        if !core::mem::replace(&mut model.spoke, true) {
            model.until = now + limits::HANDSHAKE;
            model.waiting = Some(now);
        }
        self.door.hello(guest, now);
    }

    /// Who goes, found by looking at everybody.
    fn one_too_many(&self, newcomer: Guest) -> Guest {
        let is_trusted = |model: &Model| model.origin == Origin::Trusted;
        let trusted = self.guests.values().filter(|model| is_trusted(model));
        let from_trusted = trusted.count() * 2 > self.guests.len();
        let weight = |origin| {
            let guests = self.guests.values();
            guests.filter(|model| model.origin == origin).count()
        };
        let others: Vec<_> = self
            .guests
            .iter()
            .filter(|(guest, _)| **guest != newcomer)
            .collect();
        let side: Vec<_> = others
            .iter()
            .filter(|(_, model)| is_trusted(model) == from_trusted)
            .collect();
        // The origins' order among equals is by their first guest, the newcomer among them.
        let first = |origin| {
            let guests = self.guests.iter();
            guests
                .filter(|(_, model)| model.origin == origin)
                .map(|(guest, model)| (model.until, *guest))
                .min()
        };
        let worst = |(guest, model): &(&Guest, &Model)| {
            let heavy = if is_trusted(model) {
                0
            } else {
                usize::MAX - weight(model.origin)
            };
            (heavy, first(model.origin), model.until, **guest)
        };
        let found = side.iter().map(|one| worst(one)).min();
        found
            .or_else(|| others.iter().map(worst).min())
            .map(|(_, _, _, guest)| guest)
            .unwrap()
    }

    /// Takes the commands; of evictions there is this one at most.
    fn take(&mut self, mut evicted: Option<Guest>) {
        while let Some(command) = self.door.poll_command() {
            match command {
                Command::Begin(guest) => {
                    let (now, model) = (self.now, self.model(guest));
                    let since = model.waiting.take();
                    assert!(since.is_some(), "{guest:?} began without a ClientHello");
                    model.answered = true;
                    self.began.push(now);
                }
                Command::Refuse(guest, Bound::Line) => {
                    let now = self.now;
                    let model = self.model(guest);
                    assert!(model.waiting.take().is_some());
                    model.answered = true;
                    model.until = now;
                }
                Command::Evict(guest, Bound::Places) => {
                    assert_eq!(evicted.take(), Some(guest), "{:?}", self.guests);
                    self.guests.remove(&guest);
                }
                other => panic!("the API has room, and there is memory: {other:?}"),
            }
        }
        assert_eq!(evicted, None, "somebody had to go");
    }

    fn check(&self) {
        let census = self.door.census();
        assert_eq!(census.guests, self.guests.len());
        assert!(census.guests <= PLACES);
        let waiting = self.guests.values().filter_map(|model| model.waiting);
        assert_eq!(census.waiting, waiting.clone().count());
        assert!(census.waiting <= share(self.rate, limits::HANDSHAKE_WAIT));
        match (waiting.min(), self.door.next_timeout()) {
            (None, None) => {}
            (Some(oldest), Some(next)) => {
                assert!(next > self.now, "what is due now was done");
                assert!(next <= oldest + limits::HANDSHAKE_WAIT);
            }
            other => panic!("{other:?}"),
        }
    }
}

proptest! {
    #[test]
    fn the_door_does_what_the_model_does(rate in 1_u32..20, acts in acts()) {
        let mut world = World::new(rate);
        for act in acts {
            world.act(act);
        }
        // No stretch of time saw more handshakes than the pace allows.
        let every = Duration::from_secs(1) / rate;
        for (number, &first) in world.began.iter().enumerate() {
            for (count, &last) in world.began[number..].iter().enumerate() {
                let least = every.saturating_mul(u32::try_from(count).unwrap());
                prop_assert!(last - first + limits::HANDSHAKE_BURST + MILLISECOND >= least);
            }
        }
        // Everybody who waits is answered in time.
        world.act(Act::Pass(1_000));
        prop_assert_eq!(world.door.census().waiting, 0);
        for guest in world.guests.keys() {
            world.door.leave(*guest);
        }
        prop_assert_eq!(world.door.census(), super::Census::default());
    }
}

fn door(places: usize, handshakes_per_s: u32) -> Door {
    Door::new(Config {
        places,
        handshakes_per_s,
        memory_budget: u64::MAX,
    })
}

fn commands(door: &mut Door) -> Vec<Command> {
    std::iter::from_fn(|| door.poll_command()).collect()
}

/// Lets handshakes begin for `time` and tells how many of each origin did, guests being numbered origin × 100,000 + …
fn began(door: &mut Door, from: Moment, time: Duration) -> BTreeMap<u64, usize> {
    let mut counts = BTreeMap::new();
    let mut now = from;
    while now < from + time {
        now += MILLISECOND;
        door.timeout(now);
        for command in commands(door) {
            if let Command::Begin(Guest(number)) = command {
                *counts.entry(number / 100_000).or_default() += 1;
            }
        }
    }
    counts
}

#[test]
fn a_whole_city_behind_one_address_is_not_limited_while_there_is_room() {
    let mut door = door(1_000, 10_000);
    for number in 0..1_000 {
        door.arrive(Guest(number), Origin::V4(1), usize::MAX, Moment(number));
    }
    assert_eq!(commands(&mut door), []);
}

#[test]
fn the_heaviest_address_loses_whose_time_is_over_first() {
    let mut door = door(4, 1_000);
    let second = Duration::from_secs(1);
    for (number, origin) in [(0, 1), (1, 2), (2, 2), (3, 2)] {
        door.arrive(
            Guest(number),
            Origin::V4(origin),
            usize::MAX,
            Moment(number),
        );
    }
    // Who has shown a ClientHello is further than who came later and has not.
    door.hello(Guest(1), Moment(10));
    assert_eq!(commands(&mut door), [Command::Begin(Guest(1))]);
    door.arrive(Guest(4), Origin::V4(3), usize::MAX, Moment::ZERO + second);
    assert_eq!(
        commands(&mut door),
        [Command::Evict(Guest(2), Bound::Places)]
    );
    // But not for ever: a handshake that stands still gives its place to newcomers before it is over.
    let late = Moment(10) + limits::HANDSHAKE - second;
    door.arrive(Guest(5), Origin::V4(2), usize::MAX, late);
    door.arrive(Guest(6), Origin::V4(2), usize::MAX, late);
    assert_eq!(
        commands(&mut door),
        [
            Command::Evict(Guest(3), Bound::Places),
            Command::Evict(Guest(1), Bound::Places)
        ]
    );
}

#[test]
fn fewer_descriptors_are_fewer_places_and_the_newcomer_always_has_one() {
    let mut door = door(10, 1_000);
    for number in 0..10 {
        door.arrive(Guest(number), Origin::V4(1), usize::MAX, Moment(number));
    }
    door.arrive(Guest(10), Origin::V4(2), 3, Moment(10));
    assert_eq!(door.census().guests, 3);
    door.arrive(Guest(11), Origin::V4(3), 0, Moment(11));
    assert_eq!(door.census().guests, 1);
    door.leave(Guest(11));
    assert_eq!(door.census().guests, 0, "the newcomer was there");
}

#[test]
fn trusted_networks_and_strangers_have_half_each_where_both_want_more() {
    let mut door = door(100, 1_000);
    let census = |door: &Door| {
        let trusted = |standing: &&super::Standing| standing.origin == Origin::Trusted;
        door.guests.values().filter(trusted).count()
    };
    for number in 0..100 {
        door.arrive(Guest(number), Origin::Trusted, usize::MAX, Moment(number));
    }
    assert_eq!(census(&door), 100, "one alone has everything");
    for number in 100..1_000 {
        let origin = Origin::V4(u32::try_from(number).unwrap());
        door.arrive(Guest(number), origin, usize::MAX, Moment(number));
    }
    assert_eq!(census(&door), 50);
    for number in 1_000..2_000 {
        door.arrive(Guest(number), Origin::Trusted, usize::MAX, Moment(number));
    }
    assert_eq!(census(&door), 50);
}

#[test]
fn a_flood_from_one_address_takes_no_turn_of_another() {
    let (mut door, now) = (door(10_000, 1_000), Moment(1_000_000));
    let mut line_up = |count: u64, origin: Origin, side: u64| {
        for number in 0..count {
            let guest = Guest(side * 100_000 + number);
            door.arrive(guest, origin, usize::MAX, now);
            door.hello(guest, now);
        }
    };
    line_up(5_000, Origin::V4(1), 1);
    line_up(40, Origin::V4(2), 2);
    line_up(40, Origin::V6(3), 3);
    line_up(200, Origin::Trusted, 4);
    let refused = commands(&mut door)
        .iter()
        .filter(|command| matches!(command, Command::Refuse(Guest(100_000..200_000), _)))
        .count();
    assert!(
        refused >= 4_000,
        "what cannot be served in time is told so at once: {refused}"
    );
    let counts = began(&mut door, now, Duration::from_millis(240));
    assert_eq!(counts[&2], 40);
    assert_eq!(counts[&3], 40);
    assert!(counts[&4] >= 110, "half of the turns: {counts:?}");
}

#[test]
fn newcomers_of_the_api_take_the_place_of_its_heaviest_address() {
    let mut door = door(1_000, 100_000);
    let places = limits::API_ANONYMOUS as u64;
    for number in 0..places {
        let now = Moment(number * 1_000);
        door.arrive(Guest(number), Origin::V4(1), usize::MAX, now);
        door.hello(Guest(number), now);
        commands(&mut door);
        door.stays(Guest(number), usize::MAX, now);
    }
    assert_eq!(commands(&mut door), []);
    let now = Moment(places * 1_000);
    door.arrive(Guest(places), Origin::V4(2), usize::MAX, now);
    door.hello(Guest(places), now);
    assert_eq!(commands(&mut door), [Command::Begin(Guest(places))]);
    door.stays(Guest(places), usize::MAX, now);
    assert_eq!(commands(&mut door), [Command::Evict(Guest(0), Bound::Api)]);
    assert_eq!(door.census().api, limits::API_ANONYMOUS);
    assert_eq!(door.census().guests, limits::API_ANONYMOUS);
    // Whoever is known may have more of the places.
    door.arrive(Guest(places + 1), Origin::V4(3), usize::MAX, now);
    door.hello(Guest(places + 1), now);
    door.stays(Guest(places + 1), 2, now);
    assert_eq!(door.census().api, 2);
}
