//! What the machine's processors did in a while: for the relay, for us, for everybody else (data-plane.md, Measuring).
//!
//! A process's own time is exact (schedstat), and hides what the kernel did for it in interrupts; a core's time shows all of that. It is
//! taken from the time in which the core was idle, which the kernel counts, while the other columns of `/proc/stat` are sampled.
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Instant;

use procfs::process::{Process, all_processes};
use procfs::{CpuTime, CurrentSI as _, KernelStats};
use serde::{Deserialize, Serialize};

/// Groups of processes by the names that they are told under.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub(crate) struct Watched(BTreeMap<String, Vec<i32>>);

/// What was used in a while, in seconds.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Used {
    /// How long the while was.
    seconds: f64,
    /// Run time of each group's threads.
    cpu_s: BTreeMap<String, f64>,
    /// How long each core was not idle, interrupts included.
    cores_s: Vec<f64>,
    /// What other processes ran, other machines not counted.
    others_s: f64,
    /// What other virtual machines took.
    stolen_s: f64,
}

/// What all of it was since the machine started.
pub(crate) struct Snapshot {
    at: Instant,
    cpu_ns: BTreeMap<String, u64>,
    /// Without processes of no group.
    ours_ticks: u64,
    all_ticks: u64,
    cores: Vec<CpuTime>,
}

impl Snapshot {
    /// Now.
    pub(crate) fn take(watched: &Watched) -> io::Result<Self> {
        let own = Process::myself().map_err(io::Error::other)?.pid();
        let groups = watched.0.iter();
        let cpu_ns =
            groups.map(|(name, pids)| (name.clone(), pids.iter().map(|pid| run_ns(*pid)).sum()));
        let cpu_ns = cpu_ns.collect();
        let ours: BTreeSet<i32> = watched.0.values().flatten().copied().chain([own]).collect();
        let (mut ours_ticks, mut all_ticks) = (0, 0);
        for process in all_processes().map_err(io::Error::other)? {
            // One that has just ended is counted with its parent.
            let Ok(stat) = process.and_then(|process| process.stat()) else {
                continue;
            };
            let children = stat.cutime.unsigned_abs() + stat.cstime.unsigned_abs();
            let ticks = stat.utime + stat.stime + children;
            all_ticks += ticks;
            if ours.contains(&stat.pid) {
                ours_ticks += ticks;
            }
        }
        let kernel = KernelStats::current().map_err(io::Error::other)?;
        Ok(Self {
            at: Instant::now(),
            cpu_ns,
            ours_ticks,
            all_ticks,
            cores: kernel.cpu_time,
        })
    }

    /// What was used from here to `later`.
    pub(crate) fn until(&self, later: &Self) -> Used {
        let seconds = (later.at - self.at).as_secs_f64();
        let cores = self.cores.iter().zip(&later.cores);
        let away = cores
            .clone()
            .map(|(before, after)| away_ms(after) - away_ms(before));
        let stolen = cores.map(|(before, after)| stolen_ms(after) - stolen_ms(before));
        let others =
            (later.all_ticks - later.ours_ticks).saturating_sub(self.all_ticks - self.ours_ticks);
        Used {
            seconds,
            cpu_s: self
                .cpu_ns
                .iter()
                .map(|(name, before)| {
                    let after = later.cpu_ns.get(name).copied().unwrap_or_default();
                    (
                        name.clone(),
                        fraction(after.saturating_sub(*before), 1_000_000_000),
                    )
                })
                .collect(),
            cores_s: away
                .map(|ms| (seconds - fraction(ms, 1_000)).max(0.0))
                .collect(),
            others_s: fraction(others, procfs::ticks_per_second()),
            stolen_s: fraction(stolen.sum(), 1_000),
        }
    }
}

/// Run time of all threads of a process; none where it has ended.
fn run_ns(pid: i32) -> u64 {
    let tasks = Process::new(pid).and_then(|process| process.tasks());
    let tasks = tasks.into_iter().flatten().flatten();
    tasks
        .filter_map(|task| Some(task.schedstat().ok()?.sum_exec_runtime))
        .sum()
}

/// How long a core did nothing, or was not ours.
fn away_ms(core: &CpuTime) -> u64 {
    core.idle_ms() + core.iowait_ms().unwrap_or_default() + stolen_ms(core)
}

fn stolen_ms(core: &CpuTime) -> u64 {
    core.steal_ms().unwrap_or_default()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "times of a machine that ran for years are below 2^52"
)]
fn fraction(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}
