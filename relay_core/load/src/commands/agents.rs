//! Many agents that come up and stay until they are told to leave.
use std::time::Duration;

use serde::Serialize;
use tokio::time::interval;

use crate::LoadError;
use crate::fleet::{Fleet, Office, Standing};
use crate::machine::{self, Usage};
use crate::output::Output;
use crate::sources::Sources;
use crate::stop::Stop;
use crate::tenant::Tenant;

/// Descriptors of one agent: its leg, and with a session its path and both ends of the desktop's connection.
const DESCRIPTORS: usize = 4;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// The first agent of the tenant.
    pub first: usize,
    /// How many.
    pub count: usize,
    /// Where they dial from.
    pub sources: Sources,
    /// What is behind them.
    pub office: Office,
    /// How long they stay; `None`: until the run is told to end.
    pub lasts: Option<Duration>,
}

/// The last line.
#[derive(Serialize)]
struct Summary {
    agents: usize,
    #[serde(flatten)]
    standing: Standing,
    /// Agents that did not say that they have left.
    left_behind: usize,
    #[serde(flatten)]
    usage: Usage,
}

/// The line of each second.
#[derive(Serialize)]
struct Second {
    #[serde(flatten)]
    standing: Standing,
    #[serde(flatten)]
    usage: Usage,
}

/// Brings agents up and holds them.
pub async fn run(
    tenant: &Tenant,
    options: Options,
    output: &Output,
    mut stop: Stop,
) -> Result<(), LoadError> {
    let Options {
        first,
        count,
        sources,
        office,
        lasts,
    } = options;
    machine::require(count.saturating_mul(DESCRIPTORS))?;
    let devices = tenant.agents(first, count)?;
    let mut fleet = Fleet::start(tenant, devices, first, sources, office)?;
    let mut seconds = interval(Duration::from_secs(1));
    let mut stopped = std::pin::pin!(stop.heard(lasts));
    loop {
        tokio::select! {
            () = &mut stopped => break,
            moment = fleet.moment() => output.line(moment.event, &moment)?,
            _ = seconds.tick() => output.line("second", &Second {
                standing: fleet.standing(),
                usage: Usage::now()?,
            })?,
        }
    }
    // What they used while they stood, not what leaving takes.
    let (standing, usage) = (fleet.standing(), Usage::now()?);
    let summary = Summary {
        agents: count,
        standing,
        left_behind: fleet.stop().await,
        usage,
    };
    output.line("summary", &summary)?;
    Ok(())
}
