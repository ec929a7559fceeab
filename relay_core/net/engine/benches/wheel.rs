//! The timer wheel under the timers of 10,000 paths: what setting one costs, and what a tick does.
#![allow(
    missing_docs,
    reason = "criterion's macros make functions of their own"
)]
use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use telerelay_engine::wheel::Wheel;
use telerelay_wire::time::Moment;

const TIMERS: u64 = 10_000;
const TICK: Duration = Duration::from_millis(100);
/// Deadlines are spread over so long.
const SPREAD: Duration = Duration::from_secs(5);

fn full() -> Wheel<u64> {
    let mut wheel = Wheel::new(TICK);
    (0..TIMERS).for_each(|number| wheel.insert(deadline(number), number));
    wheel
}

fn deadline(number: u64) -> Moment {
    let spread = u64::try_from(SPREAD.as_micros()).unwrap_or(u64::MAX);
    // An odd stride: neighbours are far apart.
    Moment(number.wrapping_mul(7_919_123) % spread)
}

fn wheel(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("timer wheel");
    group.throughput(Throughput::Elements(TIMERS));
    group.bench_function("10,000 set", |bencher| bencher.iter(|| black_box(full())));
    group.bench_function("10,000 over, tick by tick", |bencher| {
        bencher.iter_batched(
            full,
            |mut wheel| {
                let mut over = 0_u64;
                let mut now = Moment(0);
                while wheel.next().is_some() {
                    now += TICK;
                    wheel.expire(now, |_| over += 1);
                }
                assert_eq!(over, TIMERS);
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, wheel);
criterion_main!(benches);
