//! The mailbox of a leg: bounded, in order, and without memory of its own while it is empty; there is one for each ready
//! connection.
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// The end that posts. Clones post into the same mailbox; when the last is gone, the other end learns it.
pub(crate) struct Post<T>(Arc<Posting<T>>);

/// The end that takes.
pub(crate) struct Inbox<T>(Arc<Shared<T>>);

struct Posting<T>(Arc<Shared<T>>);

struct Shared<T> {
    state: Mutex<State<T>>,
    places: usize,
}

struct State<T> {
    letters: VecDeque<T>,
    waker: Option<Waker>,
    /// Nobody posts any more.
    orphaned: bool,
    /// Nobody takes any more.
    abandoned: bool,
}

/// A mailbox for at most `places` letters.
pub(crate) fn mailbox<T>(places: usize) -> (Post<T>, Inbox<T>) {
    let shared = Arc::new(Shared {
        state: Mutex::new(State {
            letters: VecDeque::new(),
            waker: None,
            orphaned: false,
            abandoned: false,
        }),
        places,
    });
    (Post(Arc::new(Posting(shared.clone()))), Inbox(shared))
}

impl<T> Post<T> {
    /// Posts a letter; gives it back where the mailbox is full or nobody takes from it.
    pub(crate) fn post(&self, letter: T) -> Result<(), T> {
        let shared = &self.0.0;
        let mut state = shared.lock();
        if state.abandoned || state.letters.len() >= shared.places {
            return Err(letter);
        }
        state.letters.push_back(letter);
        wake(state);
        Ok(())
    }
}

impl<T> Clone for Post<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Drop for Posting<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.orphaned = true;
        wake(state);
    }
}

impl<T> Inbox<T> {
    /// The next letter; `None` once all are taken and nobody posts any more.
    pub(crate) fn poll_take(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let mut state = self.0.lock();
        match state.letters.pop_front() {
            Some(letter) => Poll::Ready(Some(letter)),
            None if state.orphaned => Poll::Ready(None),
            None => {
                if !state
                    .waker
                    .as_ref()
                    .is_some_and(|waker| waker.will_wake(cx.waker()))
                {
                    state.waker = Some(cx.waker().clone());
                }
                Poll::Pending
            }
        }
    }
}

impl<T> Drop for Inbox<T> {
    fn drop(&mut self) {
        let letters = {
            let mut state = self.0.lock();
            state.abandoned = true;
            state.waker = None;
            std::mem::take(&mut state.letters)
        };
        // Without the lock: a letter may have something to say when it is dropped.
        drop(letters);
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes whoever takes, without the lock.
fn wake<T>(mut state: MutexGuard<'_, State<T>>) {
    let waker = state.waker.take();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn letters_come_in_order_and_wake_who_waits() {
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        let mut cx = Context::from_waker(&waker);
        let (post, mut inbox) = mailbox(2);
        assert_eq!(inbox.poll_take(&mut cx), Poll::Pending);
        assert_eq!(post.post(1), Ok(()));
        assert_eq!(post.clone().post(2), Ok(()));
        assert_eq!(post.post(3), Err(3), "full");
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        assert_eq!(inbox.poll_take(&mut cx), Poll::Ready(Some(1)));
        assert_eq!(inbox.poll_take(&mut cx), Poll::Ready(Some(2)));
        assert_eq!(inbox.poll_take(&mut cx), Poll::Pending);
        drop(post);
        assert_eq!(
            woken.0.load(Ordering::Relaxed),
            2,
            "the last one who posts is gone"
        );
        assert_eq!(inbox.poll_take(&mut cx), Poll::Ready(None));
    }

    #[test]
    fn what_was_posted_before_the_end_is_still_taken() {
        let mut cx = Context::from_waker(Waker::noop());
        let (post, mut inbox) = mailbox(2);
        assert_eq!(post.post(1), Ok(()));
        drop(post);
        assert_eq!(inbox.poll_take(&mut cx), Poll::Ready(Some(1)));
        assert_eq!(inbox.poll_take(&mut cx), Poll::Ready(None));
    }

    #[test]
    fn an_abandoned_mailbox_gives_letters_back() {
        let (post, inbox) = mailbox(2);
        drop(inbox);
        assert_eq!(post.post(1), Err(1));
    }
}
