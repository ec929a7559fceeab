//! Even schedules that do not wait for what they begin.
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

/// One firing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Due {
    /// From 0 on.
    pub(crate) number: u64,
    /// The moment that was meant; measurements count from here.
    pub(crate) at: Instant,
}

/// Fires `per_s` times a second, from now on, `count` times or for ever. On a thread of its own, since the runtime's timers are a
/// millisecond coarse; it ends when the receiver is dropped. What is not taken in time waits, with its own moment.
pub(crate) fn fire(per_s: f64, count: Option<u64>) -> io::Result<mpsc::UnboundedReceiver<Due>> {
    let (fired, due) = mpsc::unbounded_channel();
    let began = Instant::now();
    thread::Builder::new()
        .name("pace".to_owned())
        .spawn(move || {
            for number in 0..count.unwrap_or(u64::MAX) {
                #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 firings")]
                let at = began + Duration::from_secs_f64(number as f64 / per_s);
                thread::sleep(at.saturating_duration_since(Instant::now()));
                if fired.send(Due { number, at }).is_err() {
                    return;
                }
            }
        })?;
    Ok(due)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn firings_keep_their_moments_however_late_they_are_taken() {
        let mut due = fire(1_000.0, Some(50)).expect("a thread");
        while due.len() < 50 {
            tokio::task::yield_now().await;
        }
        let mut taken = Vec::new();
        while let Some(one) = due.recv().await {
            taken.push(one);
        }
        assert_eq!(taken.len(), 50);
        for pair in taken.windows(2) {
            assert_eq!(pair[1].number, pair[0].number + 1);
            let apart = pair[1].at - pair[0].at;
            assert!(apart.abs_diff(Duration::from_millis(1)) < Duration::from_micros(1));
        }
    }
}
