//! `telerelay-load`: many agents and clients from the command line.
use std::io::{self, Write};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use ipnet::IpNet;
use telerelay_endpoint::LocalAddress;
use telerelay_load::LoadError;
use telerelay_load::commands::{agents, connect, handshakes, hold, reference, strangers, traffic};
use telerelay_load::fleet::Office;
use telerelay_load::output::Output;
use telerelay_load::play::Models;
use telerelay_load::sources::Sources;
use telerelay_load::stop::Stop;
use telerelay_load::tenant::{Cluster, Tenant};
use tokio::runtime::Builder;
use tracing::Level;

/// Many agents and clients at a relay node, and what they measure.
///
/// JSON lines on standard output, `telerelay.load/1`; Ctrl-C or SIGTERM ends a run in order. FOLDER is a throw-away organisation as
/// `python -m tests.bench.tenant` makes it. Share agents and clients out over processes by --first and --count: a process has
/// fewer than 20,000 descriptors.
#[derive(Parser)]
#[command(name = "telerelay-load", version)]
struct Line {
    /// Threads that run the endpoints.
    #[arg(long, global = true, default_value = "1")]
    threads: NonZero<usize>,
    #[command(subcommand)]
    command: Wanted,
}

#[derive(Subcommand)]
enum Wanted {
    /// Bring agents up and hold them.
    Agents(Agents),
    /// Set sessions up at a rate, each to the desktop's first byte.
    Connect {
        #[command(flatten)]
        devices: Devices,
        /// How many clients take turns.
        #[arg(long)]
        clients: usize,
        /// How many set-ups.
        #[arg(long)]
        count: u64,
        /// How many begin each second.
        #[arg(long, value_parser = rate)]
        rate: f64,
    },
    /// Hold sessions that exchange messages.
    Hold {
        #[command(flatten)]
        devices: Devices,
        /// How many sessions, each of a client of its own.
        #[arg(long)]
        sessions: usize,
        /// How many are opened each second.
        #[arg(long, default_value = "50", value_parser = rate)]
        rate: f64,
        /// Milliseconds between two keys of one viewer.
        #[arg(long, default_value = "200")]
        every: NonZero<u32>,
        /// Bytes of screen that a key brings.
        #[arg(long, default_value = "4096")]
        bytes: u32,
        /// Seconds that they stay once they are open; default: until they are told to end.
        #[arg(long = "for", value_parser = seconds)]
        lasts: Option<Duration>,
    },
    /// Make bare handshakes.
    Handshakes {
        #[command(flatten)]
        devices: Devices,
        /// How many clients take turns.
        #[arg(long)]
        clients: usize,
        #[command(flatten)]
        arrivals: Arrivals,
        /// Seconds.
        #[arg(long = "for", value_parser = seconds)]
        lasts: Duration,
        /// Whom they dial instead of the organisation's cluster: a file that `reference` wrote.
        #[arg(long)]
        cluster: Option<PathBuf>,
    },
    /// Serve handshakes without a node, to compare with.
    Reference {
        /// The organisation that it admits.
        folder: PathBuf,
        /// Where it writes how it is dialled.
        #[arg(long)]
        cluster: PathBuf,
        /// Seconds that it serves; default: until it is told to end.
        #[arg(long = "for", value_parser = seconds)]
        lasts: Option<Duration>,
    },
    /// Send strangers, to 127.0.0.0/8 only.
    Strangers {
        /// Whom they bother.
        #[arg(long)]
        to: std::net::SocketAddr,
        /// What they do.
        #[arg(long)]
        manner: Manner,
        /// How many there are at once.
        #[arg(long)]
        count: usize,
        /// How many come each second at most.
        #[arg(long, value_parser = rate)]
        rate: f64,
        /// Seconds.
        #[arg(long = "for", value_parser = seconds)]
        lasts: Duration,
        /// The network of this machine that they come from.
        #[arg(long)]
        from: Option<IpNet>,
    },
    /// Hold both ends of sessions and load them as ordered on standard input.
    #[command(subcommand)]
    Traffic(Traffic),
}

#[derive(Subcommand)]
enum Traffic {
    /// Through a port that leads to another port.
    Plain {
        /// Where homes dial.
        #[arg(long)]
        to: std::net::SocketAddr,
        /// Where the office listens.
        #[arg(long)]
        office: std::net::SocketAddr,
        /// The network of this machine that homes dial from, an address each in turn.
        #[arg(long)]
        from: Option<IpNet>,
        /// Both ends speak TLS: whom homes trust, and the office's chain with its key.
        #[arg(long, num_args = 2, value_names = ["CA", "OFFICE"])]
        tls: Vec<PathBuf>,
        /// The ends are a viewer and a desktop, as a guard between them that follows wants it; one that draws refuses so large a screen.
        #[arg(long)]
        rfb: bool,
    },
    /// Be a relay that decrypts, copies, encrypts and does nothing else.
    Between {
        /// Where it listens.
        #[arg(long)]
        front: std::net::SocketAddr,
        /// Where it leads.
        #[arg(long)]
        to: std::net::SocketAddr,
        /// Whom it trusts there, and its own chain with its key.
        #[arg(long, num_args = 2, value_names = ["CA", "OFFICE"], required = true)]
        tls: Vec<PathBuf>,
    },
    /// Be a long line: hold each packet that a rule of this network sends to a queue.
    Distance {
        /// The number of the queue.
        #[arg(long)]
        queue: u16,
        /// Seconds that each packet waits.
        #[arg(long = "for", value_parser = seconds)]
        delay: Duration,
    },
    /// Through a node, as agent and client of it.
    Relay {
        /// The organisation.
        folder: PathBuf,
        /// How many agents, with a client each, have the sessions in turn.
        #[arg(long)]
        pairs: usize,
        /// Where clients dial the node, if not where agents do.
        #[arg(long)]
        clients_to: Option<std::net::SocketAddr>,
        /// Legs keep their outer TLS.
        #[arg(long)]
        wrapped: bool,
    },
}

#[derive(Args)]
struct Agents {
    #[command(flatten)]
    devices: Devices,
    /// How many agents.
    #[arg(long)]
    count: usize,
    /// What is behind them instead of a desktop of this process, `HOST:PORT` or `unix:/path`.
    #[arg(long)]
    desktop: Option<LocalAddress>,
    /// With a guard in front of it.
    #[arg(long, requires = "desktop")]
    guarded: bool,
    /// Which draws its screen anew with a mark over it.
    #[arg(long, requires = "guarded")]
    marked: bool,
    /// Seconds that they stay; default: until they are told to end.
    #[arg(long = "for", value_parser = seconds)]
    lasts: Option<Duration>,
}

#[derive(Args)]
struct Devices {
    /// The organisation.
    folder: PathBuf,
    /// The number of the first device.
    #[arg(long, default_value = "0")]
    first: usize,
    /// The network of this machine that they dial from, an address each in turn.
    #[arg(long)]
    from: Option<IpNet>,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Arrivals {
    /// How many begin each second.
    #[arg(long, value_parser = rate)]
    rate: Option<f64>,
    /// How many run at once.
    #[arg(long)]
    concurrency: Option<NonZero<usize>>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Manner {
    /// Say nothing.
    Silent,
    /// Send a ClientHello byte by byte.
    Dribble,
    /// Send a ClientHello and nothing behind it.
    Hello,
    /// Send what is no TLS.
    Garbage,
}

fn main() -> ExitCode {
    let line = Line::parse();
    // Each endpoint's own lines would be thousands.
    telerelay_log::to_stderr(Level::WARN, false);
    match run(line) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read the lines has seen enough.
        Err(LoadError::Machine(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(error) => {
            // Nobody is left to tell where standard error is closed.
            let _told = writeln!(io::stderr(), "telerelay-load: {error}");
            match error {
                LoadError::Usage(_) | LoadError::NotThisMachine(_) | LoadError::TooFew { .. } => {
                    ExitCode::from(2)
                }
                _ => ExitCode::from(6),
            }
        }
    }
}

fn run(line: Line) -> Result<(), LoadError> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(line.threads.get())
        .enable_all()
        .build()?;
    let output = Arc::new(Output::new(io::stdout()));
    let stop = Stop::on_signals()?;
    // Tasks are what is measured: the command runs as one of them, not on a thread beside them.
    let command = runtime.spawn(async move { command(line.command, &output, stop).await });
    runtime.block_on(command).map_err(io::Error::other)?
}

async fn command(wanted: Wanted, output: &Arc<Output>, stop: Stop) -> Result<(), LoadError> {
    match wanted {
        Wanted::Agents(agents) => agents.run(output, stop).await,
        Wanted::Connect {
            devices,
            clients,
            count,
            rate,
        } => {
            let (tenant, first, sources) = devices.read()?;
            let options = connect::Options {
                first,
                clients,
                count,
                per_s: rate,
                sources,
            };
            connect::run(&tenant, options, output, stop).await.map(drop)
        }
        Wanted::Hold {
            devices,
            sessions,
            rate,
            every,
            bytes,
            lasts,
        } => {
            let (tenant, first, sources) = devices.read()?;
            let options = hold::Options {
                first,
                sessions,
                opened_per_s: rate,
                every: Duration::from_millis(every.get().into()),
                bytes,
                lasts,
                sources,
            };
            hold::run(&tenant, options, output, stop).await.map(drop)
        }
        Wanted::Handshakes {
            devices,
            clients,
            arrivals,
            lasts,
            cluster,
        } => {
            let (tenant, first, sources) = devices.read()?;
            let options = handshakes::Options {
                first,
                clients,
                arrivals: arrivals.chosen()?,
                lasts,
                sources,
            };
            let cluster = match cluster {
                Some(file) => Cluster::read(&file)?,
                None => tenant.cluster.clone(),
            };
            let handshakes = handshakes::run(&tenant, &cluster, options, output, stop);
            handshakes.await.map(drop)
        }
        Wanted::Reference {
            folder,
            cluster,
            lasts,
        } => serve(&folder, &cluster, lasts, output, stop).await,
        Wanted::Strangers {
            to,
            manner,
            count,
            rate,
            lasts,
            from,
        } => {
            let options = strangers::Options {
                to,
                manner: manner.into(),
                count,
                per_s: rate,
                lasts,
                sources: Sources::new(from),
            };
            strangers::run(options, output, stop).await.map(drop)
        }
        Wanted::Traffic(traffic) => traffic.run(output, stop).await,
    }
}

async fn serve(
    folder: &Path,
    cluster: &Path,
    lasts: Option<Duration>,
    output: &Output,
    stop: Stop,
) -> Result<(), LoadError> {
    let tenant = Tenant::read(folder)?;
    let reference = reference::run(&tenant, cluster, lasts, output, stop);
    reference.await.map(drop)
}

impl Agents {
    async fn run(self, output: &Output, stop: Stop) -> Result<(), LoadError> {
        let (tenant, first, sources) = self.devices.read()?;
        let office = match self.desktop {
            None => Office::Own(Models::default()),
            Some(desktop) if self.marked => Office::Marked(desktop),
            Some(desktop) if self.guarded => Office::Guarded(desktop),
            Some(desktop) => Office::Open(desktop),
        };
        let options = agents::Options {
            first,
            count: self.count,
            sources,
            office,
            lasts: self.lasts,
        };
        agents::run(&tenant, options, output, stop).await
    }
}

impl Devices {
    fn read(&self) -> Result<(Tenant, usize, Sources), LoadError> {
        let tenant = Tenant::read(&self.folder)?;
        Ok((tenant, self.first, Sources::new(self.from)))
    }
}

impl Traffic {
    async fn run(self, output: &Arc<Output>, stop: Stop) -> Result<(), LoadError> {
        let options = match self {
            Self::Plain {
                to,
                office,
                from,
                tls,
                rfb,
            } => traffic::Options::Plain {
                to,
                office,
                sources: Sources::new(from),
                tls: tls_files(tls),
                greeting: if rfb {
                    traffic::Greeting::Rfb
                } else {
                    traffic::Greeting::Number
                },
            },
            Self::Relay {
                folder,
                pairs,
                clients_to,
                wrapped,
            } => traffic::Options::Relay {
                tenant: Tenant::read(&folder)?,
                pairs,
                clients_to,
                wrapping: if wrapped {
                    traffic::Wrapping::Wrapped
                } else {
                    traffic::Wrapping::Direct
                },
            },
            Self::Between { front, to, tls } => {
                let tls = tls_files(tls).ok_or(LoadError::Usage("two files"))?;
                return traffic::between(front, to, &tls, stop).await;
            }
            Self::Distance { queue, delay } => {
                return traffic::distance(queue, delay, output, stop).await;
            }
        };
        traffic::run(options, output.clone(), stop).await
    }
}

/// Both files, or none.
fn tls_files(files: Vec<PathBuf>) -> Option<traffic::TlsFiles> {
    let [ca, office] = <[PathBuf; 2]>::try_from(files).ok()?;
    Some(traffic::TlsFiles { ca, office })
}

impl Arrivals {
    fn chosen(&self) -> Result<handshakes::Arrivals, LoadError> {
        match (self.rate, self.concurrency) {
            (Some(per_s), None) => Ok(handshakes::Arrivals::Rate(per_s)),
            (None, Some(count)) => Ok(handshakes::Arrivals::AtOnce(count)),
            _ => Err(LoadError::Usage("either a rate or a concurrency")),
        }
    }
}

impl From<Manner> for strangers::Manner {
    fn from(manner: Manner) -> Self {
        match manner {
            Manner::Silent => Self::Silent,
            Manner::Dribble => Self::Dribble,
            Manner::Hello => Self::Hello,
            Manner::Garbage => Self::Garbage,
        }
    }
}

/// A number of events a second, above zero.
fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if rate > 0.0 && f64::is_finite(rate) => Ok(rate),
        _ => Err("not a number above zero".to_owned()),
    }
}

/// A time in seconds.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().map_err(|_| "not a number".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}
