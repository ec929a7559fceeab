//! The viewer's side of a session: which keys wait for their pictures, and how long each waited.
use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use telerelay_wire::{Code, Reason};
use tokio::io::AsyncBufRead;

use crate::exchange::{HEADER, Key, Picture};
use crate::lock;

/// What was asked and not answered yet.
#[derive(Debug, Default)]
pub(crate) struct Conversation(Mutex<Unanswered>);

#[derive(Debug, Default)]
struct Unanswered {
    next: u16,
    keys: VecDeque<(Instant, Key)>,
}

impl Conversation {
    /// The key that was to be sent at this moment.
    pub(crate) fn key(&self, at: Instant, length: u32, answer: u32) -> Key {
        let mut unanswered = lock(&self.0);
        let number = unanswered.next;
        let key = Key {
            number,
            length: length.max(HEADER),
            answer,
        };
        if answer > 0 {
            unanswered.next = number.wrapping_add(1);
            unanswered.keys.push_back((at, key));
        }
        key
    }

    /// How long the oldest key has been waiting.
    pub(crate) fn oldest(&self) -> Option<Duration> {
        lock(&self.0).keys.front().map(|(at, _)| at.elapsed())
    }

    /// How long every key has been waiting.
    pub(crate) fn waiting(&self) -> Vec<Duration> {
        let unanswered = lock(&self.0);
        unanswered.keys.iter().map(|(at, _)| at.elapsed()).collect()
    }

    /// Takes pictures for as long as answers come in order and once each; tells each with the delay of the key that it answers. A session that
    /// ends is waited for: its client says how it ended.
    pub(crate) async fn take(
        &self,
        screen: &mut (impl AsyncBufRead + Unpin),
        mut taken: impl FnMut(Picture, Option<Duration>),
    ) -> Reason {
        while let Ok(picture) = Picture::read(screen).await {
            let Some(number) = picture.answers else {
                taken(picture, None);
                continue;
            };
            let waited = lock(&self.0).keys.pop_front();
            match waited {
                Some((at, key)) if (key.number, key.answer) == (number, picture.length) => {
                    taken(picture, Some(at.elapsed()));
                }
                _ => {
                    tracing::error!(number, "a picture came that was not the next");
                    return Code::Internal.into();
                }
            }
        }
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    async fn said(pictures: &[(u32, Option<u16>)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (length, answers) in pictures.iter().copied() {
            let picture = Picture { length, answers };
            let written = bytes.write_all_buf(&mut picture.encoded()).await;
            written.expect("a vector takes everything");
        }
        bytes
    }

    #[tokio::test]
    async fn a_delay_counts_from_the_moment_that_was_meant() {
        let conversation = Conversation::default();
        let meant = Instant::now().checked_sub(Duration::from_secs(5)).unwrap();
        assert_eq!(conversation.key(meant, 8, 0).number, 0);
        assert_eq!(conversation.oldest(), None, "nobody waits for no answer");
        assert_eq!(conversation.key(meant, 8, 100).number, 0);
        assert_eq!(conversation.key(meant, 8, 200).number, 1);
        let bytes = said(&[(50, None), (100, Some(0))]).await;
        let mut delays = Vec::new();
        let mut screen = &bytes[..];
        let taken = conversation.take(&mut screen, |picture, delay| {
            delays.push((picture.length, delay));
        });
        let ended = tokio::time::timeout(Duration::ZERO, taken).await;
        assert!(ended.is_err(), "the client says how a session ends");
        assert_eq!(delays[0], (50, None));
        assert!(delays[1].1.expect("a delay") >= Duration::from_secs(5));
        assert!(conversation.oldest().expect("one waits") >= Duration::from_secs(5));
        let waiting = conversation.waiting();
        assert_eq!(waiting.len(), 1);
        assert!(waiting[0] >= Duration::from_secs(5));
    }

    #[tokio::test]
    async fn pictures_that_answer_nothing_or_out_of_turn_end_the_session() {
        for wrong in [(100, Some(1)), (99, Some(0))] {
            let conversation = Conversation::default();
            conversation.key(Instant::now(), 8, 100);
            let bytes = said(&[wrong]).await;
            let code = conversation.take(&mut &bytes[..], |_, _| {}).await;
            assert_eq!(code, Code::Internal);
        }
    }
}
