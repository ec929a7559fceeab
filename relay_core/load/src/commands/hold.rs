//! Sessions that stay open under a gentle load, and what their messages take each second: to stand beside whatever is done to the node.
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Serialize;
use telerelay_wire::Reason;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::interval;

use crate::LoadError;
use crate::conversation::Conversation;
use crate::desktop::READ;
use crate::exchange::{HEADER, Key, MESSAGE_MOST, Opening};
use crate::lock;
use crate::machine::{self, Usage};
use crate::measure::{self, Times};
use crate::output::Output;
use crate::pace::{self, Due};
use crate::sources::Sources;
use crate::stop::Stop;
use crate::tenant::Tenant;
use crate::visit::{Clients, DESCRIPTORS, Session, Tally, Visits};

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The first client of the tenant.
    pub first: usize,
    /// How many sessions, one for each client.
    pub sessions: usize,
    /// How many are opened each second.
    pub opened_per_s: f64,
    /// How often each viewer sends a key.
    pub every: Duration,
    /// How many bytes of screen each key brings.
    pub bytes: u32,
    /// How long they stay once all are open; `None`: until the run is told to end.
    pub lasts: Option<Duration>,
    /// Where they dial from.
    pub sources: Sources,
}

/// The line `ready`: every session is open, or has failed.
#[derive(Serialize)]
struct Ready {
    sessions: usize,
    #[serde(flatten)]
    visits: Visits,
}

/// The line of each second, and over all of them the last line.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Messages {
    /// Sessions that are open.
    pub sessions: usize,
    /// Keys that were due.
    pub due: u64,
    /// From the moment that a key was due to the last byte of the screen that it brought.
    pub delay: measure::Summary,
    /// How late the driver was to send them. It is part of `delay`.
    pub late: measure::Summary,
    /// How long the oldest key has been waiting for its screen.
    pub oldest_us: u64,
    /// Sessions that ended by themselves since the beginning, by code.
    pub ended: BTreeMap<String, u64>,
}

#[derive(Serialize)]
struct Summary<'a> {
    #[serde(flatten)]
    messages: &'a Messages,
    #[serde(flatten)]
    usage: Usage,
}

/// Opens the sessions, holds them, and ends them in order. What it was over the whole time.
pub async fn run(
    tenant: &Tenant,
    options: Options,
    output: &Output,
    mut stop: Stop,
) -> Result<Messages, LoadError> {
    if !(HEADER..=MESSAGE_MOST).contains(&options.bytes) {
        return Err(LoadError::Usage("an answer has 8 bytes to 1 MiB"));
    }
    machine::require(options.sessions.saturating_mul(DESCRIPTORS))?;
    // Their doors are in a folder that goes with them.
    let clients = Clients::read(tenant, options.first, options.sessions, options.sources)?;
    let clients = Arc::new(clients);
    let mut opening = stop.clone();
    let opened = tokio::select! {
        opened = open(&clients, options, output, &stop) => opened?,
        () = opening.heard(None) => return Ok(Messages::default()),
    };
    let mut held = Held::new(opened, options.bytes);
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 sessions")]
    let keys_per_s = held.talks.len().max(1) as f64 / options.every.as_secs_f64();
    let mut due = pace::fire(keys_per_s, None)?;
    let mut seconds = interval(Duration::from_secs(1));
    let mut stopped = std::pin::pin!(stop.heard(options.lasts));
    loop {
        tokio::select! {
            () = &mut stopped => break,
            Some(due) = due.recv() => held.send(due),
            Some(ended) = held.running.join_next() => held.ended(ended.map_err(io::Error::other)?),
            _ = seconds.tick() => output.line("second", &held.second())?,
        }
    }
    let messages = held.whole();
    let usage = Usage::now()?;
    let summary = Summary {
        messages: &messages,
        usage,
    };
    output.line("summary", &summary)?;
    held.close().await;
    Ok(messages)
}

/// Opens the sessions at their rate; those that could not be opened are told, and are missing.
async fn open(
    clients: &Arc<Clients>,
    options: Options,
    output: &Output,
    stop: &Stop,
) -> Result<Vec<Session>, LoadError> {
    let count = options.sessions;
    let mut due = pace::fire(options.opened_per_s, Some(count as u64))?;
    let mut opening = JoinSet::new();
    while let Some(due) = due.recv().await {
        let (clients, stop) = (clients.clone(), stop.clone());
        opening.spawn(async move {
            let turn = clients.turn(due.number);
            (due.at, clients.visit(due.number, turn, stop).await)
        });
    }
    let (mut tally, mut opened) = (Tally::default(), Vec::with_capacity(count));
    while let Some(visit) = opening.join_next().await {
        let (at, visit) = visit.map_err(io::Error::other)?;
        tally.count(at, visit.as_ref());
        opened.extend(visit);
    }
    let ready = Ready {
        sessions: opened.len(),
        visits: tally.told(),
    };
    output.line("ready", &ready)?;
    Ok(opened)
}

/// The sessions that are held.
struct Held {
    /// One for each session that was opened; `None` where it has ended.
    talks: Vec<Option<Talk>>,
    running: JoinSet<(usize, Reason)>,
    delays: Arc<Mutex<Twice>>,
    late: Twice,
    due: [u64; 2],
    bytes: u32,
    ended: BTreeMap<String, u64>,
}

/// The viewer's side of one session.
struct Talk {
    keys: mpsc::UnboundedSender<Key>,
    conversation: Arc<Conversation>,
}

/// Durations of this second, and of the whole time.
#[derive(Debug, Default)]
struct Twice {
    second: Times,
    whole: Times,
}

impl Twice {
    fn record(&mut self, duration: Duration) {
        self.second.record(duration);
        self.whole.record(duration);
    }
}

impl Held {
    fn new(opened: Vec<Session>, bytes: u32) -> Self {
        let delays = Arc::new(Mutex::new(Twice::default()));
        let mut running = JoinSet::new();
        let talks = opened.into_iter().enumerate().map(|(number, session)| {
            let (keys, pressed) = mpsc::unbounded_channel();
            let conversation = Arc::default();
            let exchange = Exchange {
                conversation: Arc::clone(&conversation),
                delays: delays.clone(),
            };
            running.spawn(async move { (number, exchange.run(session, pressed).await) });
            Some(Talk { keys, conversation })
        });
        Self {
            talks: talks.collect(),
            running,
            delays,
            late: Twice::default(),
            due: [0; 2],
            bytes,
            ended: BTreeMap::new(),
        }
    }

    /// The next viewer in turn presses a key.
    fn send(&mut self, due: Due) {
        let turn = usize::try_from(due.number).unwrap_or_default() % self.talks.len();
        if let Some(talk) = &self.talks[turn] {
            self.late.record(due.at.elapsed());
            self.due = self.due.map(|due| due + 1);
            let key = talk.conversation.key(due.at, HEADER, self.bytes);
            // One that is just ending takes none; its end is told by its task.
            let _ending = talk.keys.send(key);
        }
    }

    /// A session has ended by itself.
    fn ended(&mut self, (number, code): (usize, Reason)) {
        self.talks[number] = None;
        *self.ended.entry(code.to_string()).or_default() += 1;
    }

    fn second(&mut self) -> Messages {
        let delay = lock(&self.delays).second.take();
        let late = self.late.second.take();
        let due = std::mem::take(&mut self.due[0]);
        self.told(due, delay, late)
    }

    fn whole(&self) -> Messages {
        let delay = lock(&self.delays).whole.summary();
        self.told(self.due[1], delay, self.late.whole.summary())
    }

    fn told(&self, due: u64, delay: measure::Summary, late: measure::Summary) -> Messages {
        let talks = self.talks.iter().flatten();
        let oldest = talks.filter_map(|talk| talk.conversation.oldest());
        let oldest = oldest.max().unwrap_or_default();
        Messages {
            sessions: self.running.len(),
            due,
            delay,
            late,
            oldest_us: u64::try_from(oldest.as_micros()).unwrap_or(u64::MAX),
            ended: self.ended.clone(),
        }
    }

    /// Ends them all.
    async fn close(mut self) {
        self.talks.clear();
        while self.running.join_next().await.is_some() {}
    }
}

/// The task of one session.
struct Exchange {
    conversation: Arc<Conversation>,
    delays: Arc<Mutex<Twice>>,
}

impl Exchange {
    /// Sends keys and takes screens until nobody presses keys any more, or the session ends. How it ended.
    async fn run(self, session: Session, pressed: mpsc::UnboundedReceiver<Key>) -> Reason {
        let (viewer, mut ending) = session.split();
        let (screen, keyboard) = viewer.into_split();
        let mut screen = BufReader::with_capacity(READ, screen);
        let take = self.conversation.take(&mut screen, |_, delay| {
            if let Some(delay) = delay {
                lock(&self.delays).record(delay);
            }
        });
        tokio::select! {
            sent = send(keyboard, pressed) => match sent {
                Ok(()) => ending.close().await,
                // The session has ended; the client says how.
                Err(_) => ending.ended().await,
            },
            code = take => code,
            code = ending.ended() => code,
        }
    }
}

/// Sends keys until nobody presses any more.
async fn send(
    mut keyboard: OwnedWriteHalf,
    mut pressed: mpsc::UnboundedReceiver<Key>,
) -> io::Result<()> {
    keyboard.write_all(&Opening::Still.encoded()).await?;
    while let Some(key) = pressed.recv().await {
        keyboard.write_all_buf(&mut key.encoded()).await?;
    }
    Ok(())
}
