//! Sessions with both ends here, and loads on them as they are ordered: one JSON object a line on standard input, one line told for each.
//!
//! ```text
//! {"order": "open", "sessions": 9000}
//! {"order": "bulk", "sessions": 16, "stalled": 0, "warm_s": 0.3, "for_s": 1.2, "watched": {"relay": [4711]}}
//! {"order": "echo", "sessions": 1000, "bytes": 64, "per_s": 4000, "warm_s": 0.3, …}
//! {"order": "desktop", "sessions": 200, "per_s": 30, …}
//! {"order": "set_ups", "sessions": 2, "per_s": 100, …}
//! ```
//! What is missing of the sessions is opened first; the first ones of all are used. Where a load fails, all are dropped.
use std::io::{self, BufRead as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use telerelay_wire::bounded::List;
use telerelay_wire::ids::Address;
use tokio::sync::oneshot;

use crate::LoadError;
use crate::machine;
use crate::measure;
use crate::output::Output;
use crate::sources::Sources;
use crate::stop::Stop;
use crate::tenant::Tenant;
use crate::traffic::between;
use crate::traffic::bulk::{Sinks, Sources as Senders, Streams};
use crate::traffic::course::Course;
use crate::traffic::desktop_frames::{Screens, Viewers};
use crate::traffic::distance::Distance;
use crate::traffic::echo::{Askers, Echoes};
use crate::traffic::end::scratch;
use crate::traffic::processors::{Snapshot, Used, Watched};
use crate::traffic::way::{Legs, Plain, Relay, Way, WayError};
use crate::traffic::{Session, Sessions, picture};

pub use crate::traffic::way::{Greeting, TlsFiles, Wrapping};

/// Descriptors of one session: an end at the office, an end at home.
const DESCRIPTORS: usize = 2;

/// The way whose sessions they are.
#[derive(Clone, Debug)]
pub enum Options {
    /// A port that leads to another port.
    Plain {
        /// Where homes dial.
        to: SocketAddr,
        /// Where the office listens.
        office: SocketAddr,
        /// Where homes dial from.
        sources: Sources,
        /// What the ends speak TLS with.
        tls: Option<TlsFiles>,
        /// What the ends say first.
        greeting: Greeting,
    },
    /// A node.
    Relay {
        /// The organisation.
        tenant: Tenant,
        /// How many agents, with a client each.
        pairs: usize,
        /// Where clients dial it, if not where agents do.
        clients_to: Option<SocketAddr>,
        /// Whether outer TLS stays.
        wrapping: Wrapping,
    },
}

/// One order.
#[derive(Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
enum Order {
    Open {
        sessions: usize,
    },
    Bulk {
        sessions: usize,
        #[serde(default)]
        stalled: usize,
        #[serde(flatten)]
        window: Window,
    },
    Echo {
        sessions: usize,
        bytes: usize,
        per_s: f64,
        #[serde(flatten)]
        window: Window,
    },
    Desktop {
        sessions: usize,
        per_s: f64,
        #[serde(flatten)]
        window: Window,
    },
    SetUps {
        sessions: usize,
        per_s: f64,
        #[serde(flatten)]
        window: Window,
    },
}

/// When a load counts, and who is watched meanwhile.
#[derive(Deserialize)]
struct Window {
    warm_s: f64,
    for_s: f64,
    #[serde(default)]
    watched: Watched,
}

/// The line `done`: the order was carried out, or failed.
#[derive(Default, Serialize)]
struct Done {
    /// Why it failed, where it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<String>,
    /// What its sessions say of their path.
    kind: &'static str,
    sessions: usize,
    #[serde(flatten)]
    used: Option<Used>,
    /// That arrived at the homes.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    /// How evenly: (Σx)² / (n Σx²) of the streams that were read (Jain).
    #[serde(skip_serializing_if = "Option::is_none")]
    fairness: Option<f64>,
    /// From the moment that was meant until a message was back, or the last byte of a frame was there.
    #[serde(skip_serializing_if = "Option::is_none")]
    delay: Option<measure::Summary>,
    /// Frames that were not shown, since a screen was too far behind.
    #[serde(skip_serializing_if = "Option::is_none")]
    skipped: Option<u64>,
    /// Sessions that were made and dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    set_ups: Option<u64>,
}

/// Does what it is ordered until nobody orders any more.
pub async fn run(options: Options, output: Arc<Output>, stop: Stop) -> Result<(), LoadError> {
    let generator = Generator {
        way: options.way()?,
        sessions: Sessions::default(),
        opened: 0,
        picture: picture(),
    };
    on_a_thread("orders", stop, move || generator.obey(&output)).await
}

/// Decrypts, copies and encrypts between `front` and `to`, until the run ends.
pub async fn between(
    front: SocketAddr,
    to: SocketAddr,
    tls: &TlsFiles,
    stop: Stop,
) -> Result<(), LoadError> {
    let legs = Legs::new(to, Sources::default(), Some(tls))?;
    on_a_thread("between", stop, move || between::run(front, legs)).await
}

/// The line `ready`: packets are held from here on.
#[derive(Serialize)]
struct Ready {
    queue: u16,
    delay_s: f64,
}

/// Holds each packet of this network's queue for `delay`, until the run ends.
pub async fn distance(
    queue: u16,
    delay: Duration,
    output: &Output,
    stop: Stop,
) -> Result<(), LoadError> {
    let distance = Distance::new(queue, delay)?;
    let delay_s = delay.as_secs_f64();
    output.line("ready", &Ready { queue, delay_s })?;
    on_a_thread("distance", stop, move || Ok(distance.hold()?)).await
}

/// Does what waits in the kernel; the end of the run, and with it of the process, ends it where it stands.
async fn on_a_thread(
    name: &str,
    mut stop: Stop,
    work: impl FnOnce() -> Result<(), LoadError> + Send + 'static,
) -> Result<(), LoadError> {
    let (ended, end) = oneshot::channel();
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            // Nobody waits for it any more where the run was stopped.
            let _stopped = ended.send(work());
        })?;
    tokio::select! {
        () = stop.heard(None) => Ok(()),
        worked = end => worked.map_err(io::Error::other)?,
    }
}

impl Options {
    fn way(self) -> Result<Way, LoadError> {
        match self {
            Self::Plain {
                to,
                office,
                sources,
                tls,
                greeting,
            } => {
                let tls = tls.as_ref();
                Ok(Way::Plain(Plain::new(to, office, sources, tls, greeting)?))
            }
            Self::Relay {
                tenant,
                pairs,
                clients_to,
                wrapping,
            } => {
                let mut nodes = tenant.cluster.nodes.clone();
                if let Some(address) = clients_to {
                    let address = Address::try_from(address.to_string());
                    let address = address.map_err(|_| LoadError::Usage("no address to dial"))?;
                    for node in &mut nodes {
                        node.addresses = List::try_from(vec![address.clone()])
                            .unwrap_or_else(|_| unreachable!("one address"));
                    }
                }
                let runtime = tokio::runtime::Handle::current();
                Ok(Way::Relay(Relay::new(
                    &tenant, pairs, &nodes, wrapping, runtime,
                )?))
            }
        }
    }
}

/// Carries orders out.
struct Generator {
    way: Way,
    sessions: Sessions,
    /// How many were opened since the beginning: the number of the next.
    opened: u64,
    picture: Vec<u8>,
}

impl Generator {
    fn obey(mut self, output: &Output) -> Result<(), LoadError> {
        for line in io::stdin().lock().lines() {
            let order = serde_json::from_str(&line?);
            let order = order.map_err(|error| LoadError::Order(error.to_string()))?;
            match self.carry_out(order) {
                Ok(done) => output.line("done", &done)?,
                Err(error) => {
                    // Something may be under way in them still.
                    self.sessions = Sessions::default();
                    let failed = Some(error.to_string());
                    let done = Done {
                        failed,
                        ..Done::default()
                    };
                    output.line("done", &done)?;
                }
            }
        }
        Ok(())
    }

    fn carry_out(&mut self, order: Order) -> Result<Done, LoadError> {
        let done = match order {
            Order::Open { sessions } => {
                self.open(sessions)?;
                Done::default()
            }
            Order::Bulk {
                sessions,
                stalled,
                window,
            } => self.bulk(sessions, stalled, &window)?,
            Order::Echo {
                sessions,
                bytes,
                per_s,
                window,
            } => self.echo(sessions, bytes, per_s, &window)?,
            Order::Desktop {
                sessions,
                per_s,
                window,
            } => self.desktop(sessions, per_s, &window)?,
            Order::SetUps {
                sessions,
                per_s,
                window,
            } => self.set_ups(sessions, per_s, &window)?,
        };
        Ok(Done {
            kind: self.way.kind(),
            sessions: self.sessions.len(),
            ..done
        })
    }

    /// Opens what is missing.
    fn open(&mut self, count: usize) -> Result<(), LoadError> {
        machine::require(count.saturating_mul(DESCRIPTORS))?;
        let missing = count.saturating_sub(self.sessions.len()) as u64;
        for session in self.make(missing)? {
            self.sessions.push(session);
        }
        Ok(())
    }

    fn make(&mut self, count: u64) -> Result<Vec<Session>, WayError> {
        let first = self.opened;
        self.opened += count;
        self.way.open(first..self.opened)
    }

    fn bulk(&mut self, count: usize, stalled: usize, window: &Window) -> Result<Done, LoadError> {
        self.open(count)?;
        let (course, streams) = (window.course()?, Streams::new(count));
        let mut sources = Senders {
            course: &course,
            streams: &streams,
            picture: &self.picture,
        };
        let mut sinks = Sinks {
            course: &course,
            streams: &streams,
            stalled,
            scratch: scratch(),
        };
        let tally = (&window.watched, || streams.arrived());
        let sessions = &mut self.sessions;
        let (used, [before, after]) =
            course.run(sessions, count, &mut sources, &mut sinks, tally)?;
        if stalled > 0 {
            // What nobody read is in them still.
            self.sessions = Sessions::default();
        }
        let moved = before.iter().zip(&after).skip(stalled);
        let moved: Vec<u64> = moved.map(|(before, after)| after - before).collect();
        Ok(Done {
            used: Some(used),
            bytes: Some(moved.iter().sum()),
            fairness: fairness(&moved),
            ..Done::default()
        })
    }

    fn echo(
        &mut self,
        count: usize,
        bytes: usize,
        per_s: f64,
        window: &Window,
    ) -> Result<Done, LoadError> {
        if !(1..=self.picture.len()).contains(&bytes) {
            return Err(LoadError::Usage("a message has 1 byte to 128 KiB"));
        }
        self.open(count)?;
        let course = window.course()?;
        let message = &self.picture[..bytes];
        let mut echoes = Echoes::new(&course, count);
        let mut askers = Askers::new(&course, message, count, per_s);
        let tally = (&window.watched, || ());
        let sessions = &mut self.sessions;
        let (used, _) = course.run(sessions, count, &mut echoes, &mut askers, tally)?;
        Ok(Done {
            used: Some(used),
            delay: Some(askers.delays.summary()),
            ..Done::default()
        })
    }

    fn desktop(&mut self, count: usize, per_s: f64, window: &Window) -> Result<Done, LoadError> {
        self.open(count)?;
        let (course, shown) = (window.course()?, AtomicU64::new(0));
        let mut screens = Screens::new(&course, &shown, &self.picture, count, per_s);
        let mut viewers = Viewers::new(&course, &shown, count);
        let tally = (&window.watched, || ());
        let sessions = &mut self.sessions;
        let (used, _) = course.run(sessions, count, &mut screens, &mut viewers, tally)?;
        Ok(Done {
            used: Some(used),
            bytes: Some(viewers.bytes),
            delay: Some(viewers.delays.summary()),
            skipped: Some(screens.skipped),
            ..Done::default()
        })
    }

    /// Makes and drops so many sessions at once, again and again: `per_s` of them a second, or as many as can be.
    fn set_ups(&mut self, at_once: usize, per_s: f64, window: &Window) -> Result<Done, LoadError> {
        self.sessions = Sessions::default();
        let course = window.course()?;
        let (mut before, mut made) = (None, 0);
        let wave = Duration::try_from_secs_f64(1.0 / per_s)
            .map_err(|error| LoadError::Order(error.to_string()))?
            .saturating_mul(u32::try_from(at_once).unwrap_or(u32::MAX));
        let mut due = course.begin;
        while Instant::now() < course.end {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            due += wave;
            if before.is_none() && Instant::now() >= course.counts {
                before = Some(Snapshot::take(&window.watched)?);
                made = 0;
            }
            made += self.make(at_once as u64)?.len() as u64;
        }
        let after = Snapshot::take(&window.watched)?;
        Ok(Done {
            used: before.map(|before| before.until(&after)),
            set_ups: Some(made),
            ..Done::default()
        })
    }
}

impl Window {
    fn course(&self) -> Result<Course, LoadError> {
        let time = |seconds: f64| {
            Duration::try_from_secs_f64(seconds)
                .map_err(|error| LoadError::Order(error.to_string()))
        };
        Ok(Course::new(time(self.warm_s)?, time(self.for_s)?))
    }
}

/// None where nothing moved.
fn fairness(moved: &[u64]) -> Option<f64> {
    #[expect(
        clippy::cast_precision_loss,
        reason = "bytes of a few seconds are below 2^52"
    )]
    let moved: Vec<f64> = moved.iter().map(|bytes| *bytes as f64).collect();
    let (sum, squares) = moved.iter().fold((0.0, 0.0), |(sum, squares), bytes| {
        (sum + bytes, squares + bytes * bytes)
    });
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 streams")]
    let count = moved.len() as f64;
    (squares > 0.0).then(|| sum * sum / (count * squares))
}
