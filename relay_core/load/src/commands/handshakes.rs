//! Bare handshakes: TCP, outer TLS on both sides, HELLO and its WELCOME, and nothing behind it.
//!
//! At a rate, or by so many who begin the next as soon as one is over: the second finds what a node, or the reference, can do.
use std::collections::BTreeMap;
use std::io;
use std::num::NonZero;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde::Serialize;
use telerelay_leg::config::Language;
use telerelay_leg::dial::Dialer;
use telerelay_leg::tls::{Progress, Tls};
use telerelay_wire::Code;
use telerelay_wire::bounded::List;
use telerelay_wire::frame::FrameError;
use telerelay_wire::ids::{Instance, NodeAddress, Role};
use telerelay_wire::outer::{Frame, Hello, Reader};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};

use crate::LoadError;
use crate::lock;
use crate::machine::{self, Usage};
use crate::measure::{self, Times};
use crate::output::Output;
use crate::pace;
use crate::sources::Sources;
use crate::stop::Stop;
use crate::tenant::{Cluster, Tenant};
use crate::visit::program;

/// How much is read at once: one WELCOME.
const READ: usize = 1024;
/// How long WELCOME may take.
const WELCOME: Duration = Duration::from_secs(10);
/// Descriptors of one handshake.
const DESCRIPTORS: usize = 1;

/// Who decides when a handshake begins.
#[derive(Clone, Copy, Debug)]
pub enum Arrivals {
    /// So many each second, however long they take.
    Rate(f64),
    /// So many at once: one begins when another is over.
    AtOnce(NonZero<usize>),
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The first client of the tenant.
    pub first: usize,
    /// How many clients take turns.
    pub clients: usize,
    /// When they begin.
    pub arrivals: Arrivals,
    /// How long.
    pub lasts: Duration,
    /// Where they dial from.
    pub sources: Sources,
}

/// The last line.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Handshakes that came to WELCOME.
    pub done: u64,
    /// How many of them a second.
    pub per_s: f64,
    /// The others, by what they ended with.
    pub failed: BTreeMap<String, u64>,
    /// Those that could not begin, since the process had no descriptors left.
    pub unmade: u64,
    /// Until outer TLS stood; at a rate, from the moment that was meant.
    pub tls: measure::Summary,
    /// From there to WELCOME.
    pub welcome: measure::Summary,
    /// How late the driver began them. It is part of `tls`.
    pub late: measure::Summary,
    /// What the driver used.
    #[serde(flatten)]
    pub usage: Usage,
}

/// The line of each second.
#[derive(Serialize)]
struct Second {
    done: u64,
    failed: u64,
}

/// What handshakes came to.
#[derive(Debug, Default)]
struct Tally {
    tls: Times,
    welcome: Times,
    late: Times,
    failed: BTreeMap<String, u64>,
}

/// Makes handshakes for a while, at `cluster` instead of the tenant's own where it is given.
pub async fn run(
    tenant: &Tenant,
    cluster: &Cluster,
    options: Options,
    output: &Output,
    mut stop: Stop,
) -> Result<Summary, LoadError> {
    let dialers = Arc::new(Dialers::new(tenant, cluster, options)?);
    let tally = Arc::new(Mutex::new(Tally::default()));
    let began = Instant::now();
    let mut seconds = interval(Duration::from_secs(1));
    let mut running = JoinSet::new();
    let mut unmade = 0;
    {
        let mut stopped = std::pin::pin!(stop.heard(Some(options.lasts)));
        let (places, mut due) = match options.arrivals {
            Arrivals::Rate(per_s) => (
                machine::room_for(DESCRIPTORS),
                Some(pace::fire(per_s, None)?),
            ),
            Arrivals::AtOnce(count) => (count.get(), None),
        };
        let places = Arc::new(Semaphore::new(places));
        let mut number = 0;
        loop {
            let begin = async {
                match &mut due {
                    Some(due) => due
                        .recv()
                        .await
                        .map(|due| (due.at, places.clone().try_acquire_owned().ok())),
                    None => Some((Instant::now(), places.clone().acquire_owned().await.ok())),
                }
            };
            tokio::select! {
                () = &mut stopped => break,
                Some((at, place)) = begin => {
                    let Some(place) = place else {
                        unmade += 1;
                        continue;
                    };
                    let (dialers, tally) = (dialers.clone(), tally.clone());
                    running.spawn(async move {
                        let late = at.elapsed();
                        let shaken = dialers.shake(number, at).await;
                        lock(&tally).count(late, shaken);
                        drop(place);
                    });
                    number += 1;
                }
                Some(ended) = running.join_next() => ended.map_err(io::Error::other)?,
                _ = seconds.tick() => {
                    let (done, failed) = lock(&tally).counts();
                    output.line("second", &Second { done, failed })?;
                }
            }
        }
    }
    // What is under way when the time is over counts as little as what was before it.
    let (took, usage) = (began.elapsed(), Usage::now()?);
    let summary = lock(&tally).told(took, unmade, usage);
    output.line("summary", &summary)?;
    Ok(summary)
}

/// The clients that take turns.
struct Dialers {
    dialers: Vec<Dialer>,
    nodes: Vec<NodeAddress>,
}

impl Dialers {
    fn new(tenant: &Tenant, cluster: &Cluster, options: Options) -> Result<Self, LoadError> {
        let devices = tenant.clients(options.first, options.clients)?;
        if devices.is_empty() {
            return Err(LoadError::Usage("no client"));
        }
        let dialers = devices.iter().enumerate().map(|(number, device)| {
            let credentials = Some(&device.credentials);
            let dialer = Dialer::new(cluster.pins, credentials, Language::Telerelay)?;
            Ok(dialer.from_source(options.sources.of(options.first + number)))
        });
        Ok(Self {
            dialers: dialers.collect::<Result<_, rustls::Error>>()?,
            nodes: cluster.nodes.clone(),
        })
    }

    /// One handshake. How long outer TLS took since `at`, and WELCOME behind it; an error is what it ended with.
    async fn shake(&self, number: usize, at: Instant) -> Result<[Duration; 2], Code> {
        let dialer = &self.dialers[number % self.dialers.len()];
        let dialled = dialer.connect_any(&self.nodes).await;
        let (mut socket, mut tls) = dialled.map_err(|error| error.code())?;
        let (stood, began) = (at.elapsed(), Instant::now());
        timeout(WELCOME, greet(&mut socket, &mut tls))
            .await
            .unwrap_or(Err(Code::Unreachable))?;
        let welcomed = began.elapsed();
        tls.close_notify();
        // Whoever has gone needs no goodbye.
        let _gone = socket.write_all(tls.outgoing()).await;
        Ok([stood, welcomed])
    }
}

/// HELLO, and its WELCOME.
async fn greet(socket: &mut TcpStream, tls: &mut Tls) -> Result<(), Code> {
    let mut instance = Instance([0; 16]);
    aws_lc_rs::rand::fill(&mut instance.0).map_err(|_| Code::Machine)?;
    let hello = Hello {
        version: 1,
        role: Role::Client,
        features: List::default(),
        instance,
        counter: 1,
        program: program(),
    };
    let mut bytes = Vec::new();
    Frame::from(hello)
        .encode(&mut bytes)
        .map_err(FrameError::code)?;
    tls.write(&bytes).map_err(|error| error.code())?;
    let lost = |_: io::Error| Code::Unreachable;
    socket.write_all(tls.outgoing()).await.map_err(lost)?;
    tls.sent(tls.outgoing().len());
    let mut frames = Reader::new();
    loop {
        let progress = tls
            .read_record(|plaintext| frames.push(plaintext))
            .map_err(|error| error.code())?;
        match frames.next().map_err(FrameError::code)? {
            Some(Frame::Welcome(_)) => return Ok(()),
            Some(Frame::Error(error)) => {
                return Err(error.code.code().unwrap_or(Code::Unreachable));
            }
            Some(_) => return Err(Code::BadFrame),
            None => {}
        }
        match progress {
            Progress::Record => {}
            Progress::Closed => return Err(Code::Unreachable),
            Progress::Starved => {
                let read = socket.read_buf(tls.read_buffer(READ)).await;
                if read.map_err(lost)? == 0 {
                    return Err(Code::Unreachable);
                }
            }
        }
    }
}

impl Tally {
    fn count(&mut self, late: Duration, shaken: Result<[Duration; 2], Code>) {
        self.late.record(late);
        match shaken {
            Ok([tls, welcome]) => {
                self.tls.record(tls);
                self.welcome.record(welcome);
            }
            Err(code) => *self.failed.entry(code.to_string()).or_default() += 1,
        }
    }

    fn counts(&self) -> (u64, u64) {
        (self.tls.count(), self.failed.values().sum())
    }

    fn told(&self, took: Duration, unmade: u64, usage: Usage) -> Summary {
        let done = self.tls.count();
        #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 handshakes")]
        let per_s = done as f64 / took.as_secs_f64();
        Summary {
            done,
            per_s,
            failed: self.failed.clone(),
            unmade,
            tls: self.tls.summary(),
            welcome: self.welcome.summary(),
            late: self.late.summary(),
            usage,
        }
    }
}
