//! How a run is told to end: Ctrl-C, SIGTERM, or the time that it was given.
use std::io;
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tokio::sync::watch;

/// Whether a run is to end. Every copy hears it.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

/// Ends a run.
#[derive(Debug)]
pub struct Stopper(watch::Sender<bool>);

impl Stopper {
    /// Someone who ends a run, and what the run listens to.
    pub fn new() -> (Self, Stop) {
        let (stopper, stop) = watch::channel(false);
        (Self(stopper), Stop(stop))
    }

    /// Ends the run, in order.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    /// Heard at the first SIGINT or SIGTERM; the second ends the process where it stands.
    pub fn on_signals() -> io::Result<Self> {
        let (stopper, stop) = Stopper::new();
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                let mut heard = signals.forever();
                heard.next();
                stopper.stop();
                if let Some(signal) = heard.next() {
                    std::process::exit(128 + signal);
                }
            })?;
        Ok(stop)
    }

    /// Waits until the run is to end: when it was told to, or after `most`.
    pub async fn heard(&mut self, most: Option<Duration>) {
        // An error: nobody is left who could tell.
        let told = async { drop(self.0.wait_for(|stop| *stop).await) };
        match most {
            Some(most) => drop(tokio::time::timeout(most, told).await),
            None => told.await,
        }
    }
}
