//! Set-ups at a rate that waits for none of them: from the moment that was meant to the desktop's first byte.
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::interval;

use crate::LoadError;
use crate::lock;
use crate::machine::{self, Usage};
use crate::measure::{self, Times};
use crate::output::Output;
use crate::pace;
use crate::sources::Sources;
use crate::stop::Stop;
use crate::tenant::Tenant;
use crate::visit::{Clients, DESCRIPTORS, Tally, Visits};

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The first client of the tenant.
    pub first: usize,
    /// How many clients take turns.
    pub clients: usize,
    /// How many set-ups.
    pub count: u64,
    /// How many begin each second.
    pub per_s: f64,
    /// Where they dial from.
    pub sources: Sources,
}

/// The last line.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// What they came to.
    #[serde(flatten)]
    pub visits: Visits,
    /// Those that could not begin, since the process had no descriptors left: the figures are then not those of the rate.
    pub unmade: u64,
    /// How late the driver began them. It is part of `total`.
    pub late: measure::Summary,
    /// What the driver used.
    #[serde(flatten)]
    pub usage: Usage,
}

/// The line of each second.
#[derive(Serialize)]
struct Second {
    begun: u64,
    running: usize,
    done: u64,
    failed: u64,
}

/// Makes the set-ups and ends each session behind its first byte.
pub async fn run(
    tenant: &Tenant,
    options: Options,
    output: &Output,
    mut stop: Stop,
) -> Result<Summary, LoadError> {
    let clients = Clients::read(tenant, options.first, options.clients, options.sources)?;
    let clients = Arc::new(clients);
    let places = Arc::new(Semaphore::new(machine::room_for(DESCRIPTORS)));
    let mut due = pace::fire(options.per_s, Some(options.count))?;
    let mut seconds = interval(Duration::from_secs(1));
    let visiting = stop.clone();
    let mut stopped = std::pin::pin!(stop.heard(None));
    let mut running = JoinSet::new();
    let tally = Arc::new(Mutex::new(Tally::default()));
    let mut late = Times::new();
    let (mut begun, mut unmade, mut is_over) = (0, 0, false);
    while !(is_over && running.is_empty()) {
        tokio::select! {
            () = &mut stopped => break,
            next = due.recv(), if !is_over => match next {
                None => is_over = true,
                Some(due) => {
                    late.record(due.at.elapsed());
                    begun += 1;
                    match places.clone().try_acquire_owned() {
                        Err(_) => unmade += 1,
                        Ok(place) => {
                            let (clients, tally) = (clients.clone(), tally.clone());
                            let stop = visiting.clone();
                            running.spawn(async move {
                                let turn = clients.turn(due.number);
                                let visit = clients.visit(due.number, turn, stop).await;
                                lock(&tally).count(due.at, visit.as_ref());
                                if let Ok(session) = visit {
                                    session.close().await;
                                }
                                drop(place);
                            });
                        }
                    }
                }
            },
            Some(ended) = running.join_next() => ended.map_err(io::Error::other)?,
            _ = seconds.tick() => {
                let (done, failed) = lock(&tally).counts();
                let running = running.len();
                output.line("second", &Second { begun, running, done, failed })?;
            }
        }
    }
    let summary = Summary {
        visits: lock(&tally).told(),
        unmade,
        late: late.summary(),
        usage: Usage::now()?,
    };
    output.line("summary", &summary)?;
    Ok(summary)
}
