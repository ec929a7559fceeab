//! What one session puts on the wire: a model and a seed make the messages of each end, in their order, without end.
//!
//! Both ends of a session have the same seed and so the same states at the same times; sizes and gaps are drawn apart. The draws are those
//! of `telerelay_loadtest.models.sampling`, number by number.
use std::sync::Arc;
use std::time::Duration;

use super::chance::SplitMix;
use super::model::{Model, State, Way};
use crate::exchange::HEADER;

/// How often a message up asks for an answer at most: often enough to see a bad second, and seldom enough to leave the model's traffic as it is.
const ASKS_EVERY_US: u64 = 1_000_000;

/// A message that is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// Since the screen began.
    pub at_us: u64,
    /// How long the model says that it is; on the wire no message is shorter than its header.
    pub bytes: u32,
    /// How long the answer is that it asks for; 0: none.
    pub answer: u32,
}

/// The messages of one end of a session.
#[derive(Debug)]
pub struct Screen {
    model: Arc<Model>,
    side: Side,
    stay: Stay,
    chance: SplitMix,
    /// The last message's moment.
    at_us: u64,
    asking: SplitMix,
    /// The first moment at which a message may ask again.
    asks_at_us: u64,
}

/// Which end speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The viewer.
    Up,
    /// The desktop.
    Down,
}

/// A state, until its end.
#[derive(Debug)]
struct Stay {
    chance: SplitMix,
    state: usize,
    end_us: u64,
}

impl Screen {
    /// The screen of this seed.
    pub fn new(model: Arc<Model>, side: Side, seed: u64) -> Self {
        let mut root = SplitMix::new(seed);
        let (stays, up, down, asking) = (root.split(), root.split(), root.split(), root.split());
        let mut stay = Stay {
            chance: stays,
            state: 0,
            end_us: 0,
        };
        stay.next(&model.states);
        Self {
            model,
            side,
            stay,
            chance: match side {
                Side::Up => up,
                Side::Down => down,
            },
            at_us: 0,
            asking,
            asks_at_us: 0,
        }
    }

    /// How long the answer to a message of this moment is.
    fn answer(&mut self, at_us: u64) -> u32 {
        if self.side == Side::Down || at_us < self.asks_at_us {
            return 0;
        }
        self.asks_at_us = at_us + ASKS_EVERY_US;
        let down = self.model.states[self.stay.state].down.as_ref();
        down.map_or(HEADER, |down| size(down, &mut self.asking).max(HEADER))
    }
}

impl Iterator for Screen {
    type Item = Message;

    /// `None` where this end never says anything.
    fn next(&mut self) -> Option<Message> {
        let model = Arc::clone(&self.model);
        if model
            .states
            .iter()
            .all(|state| self.side.of(state).is_none())
        {
            return None;
        }
        loop {
            if let Some(way) = self.side.of(&model.states[self.stay.state]) {
                let at_us = self.at_us + way.gap_us.draw(&mut self.chance);
                if at_us < self.stay.end_us {
                    self.at_us = at_us;
                    return Some(Message {
                        at_us,
                        bytes: size(way, &mut self.chance),
                        answer: self.answer(at_us),
                    });
                }
            }
            self.at_us = self.stay.end_us;
            self.stay.next(&model.states);
        }
    }
}

impl Message {
    /// When it is to be sent, since the screen began.
    pub(crate) fn at(&self) -> Duration {
        Duration::from_micros(self.at_us)
    }
}

impl Side {
    fn of(self, state: &State) -> Option<&Way> {
        match self {
            Self::Up => state.up.as_ref(),
            Self::Down => state.down.as_ref(),
        }
    }
}

impl Stay {
    fn next(&mut self, states: &[State]) {
        let reaches = states.iter().scan(0.0, |reach, state| {
            *reach += state.weight;
            Some(*reach)
        });
        let place = self.chance.unit() * reaches.clone().last().unwrap_or_default();
        // The last one where rounding left something over.
        let below = reaches.filter(|reach| *reach <= place).count();
        self.state = below.min(states.len() - 1);
        self.end_us += 1_000 * states[self.state].stay_ms.draw(&mut self.chance);
    }
}

fn size(way: &Way, chance: &mut SplitMix) -> u32 {
    // No model has longer ones than 1 MiB.
    u32::try_from(way.bytes.draw(chance)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTES: u64 = 600;

    fn office() -> Arc<Model> {
        let text = r#"{"schema": "telerelay.model/1", "name": "office", "source": "made up", "states": [
            {"name": "idle", "weight": 1, "stay_ms": [[0, 1000], [1, 3000]], "up": null, "down": null},
            {"name": "typing", "weight": 2, "stay_ms": [[0, 1000], [1, 3000]],
             "up": {"gap_us": [[0, 100000], [1, 300000]], "bytes": [[0, 8], [1, 24]]},
             "down": {"gap_us": [[0, 100000], [1, 300000]], "bytes": [[0, 1000], [1, 3000]]}},
            {"name": "video", "weight": 1, "stay_ms": [[0, 1000], [1, 3000]], "up": null,
             "down": {"gap_us": [[0, 40000], [1, 40000]], "bytes": [[0, 20000], [1, 20000]]}}]}"#;
        Arc::new(Model::parse(text).expect("a model"))
    }

    fn played(side: Side, seed: u64) -> Vec<Message> {
        let screen = Screen::new(office(), side, seed);
        screen
            .take_while(|message| message.at_us < 60_000_000 * MINUTES)
            .collect()
    }

    #[test]
    fn a_seed_is_a_session_and_another_seed_is_another() {
        assert_eq!(played(Side::Up, 1), played(Side::Up, 1));
        assert_ne!(played(Side::Up, 1), played(Side::Up, 2));
    }

    #[test]
    fn each_end_says_as_much_as_its_states_do() {
        let (up, down) = (played(Side::Up, 3), played(Side::Down, 3));
        for messages in [&up, &down] {
            assert!(messages.is_sorted_by_key(|message| message.at_us));
        }
        // Half of the time is typing, five keys a second; a quarter video, 25 pictures a second. A stay of 2 s loses half a gap.
        let per_min = |messages: usize| messages as u64 / MINUTES;
        let keys = per_min(up.len());
        assert!((135..=150).contains(&keys), "{keys}");
        let video = down.iter().filter(|message| message.bytes == 20_000);
        let pictures = per_min(video.count());
        assert!((350..=390).contains(&pictures), "{pictures}");
        assert!(up.iter().all(|message| (8..=24).contains(&message.bytes)));
    }

    #[test]
    fn a_key_asks_once_a_second_for_a_picture_like_the_others() {
        let up = played(Side::Up, 4);
        let asking: Vec<_> = up.iter().filter(|message| message.answer > 0).collect();
        assert!(
            asking
                .windows(2)
                .all(|pair| pair[1].at_us - pair[0].at_us >= ASKS_EVERY_US)
        );
        // Half of the time, 1.1 s apart at the mean; a new stay does not ask anew.
        let per_min = asking.len() as u64 / MINUTES;
        assert!((22..=30).contains(&per_min), "{per_min}");
        let mean = asking
            .iter()
            .map(|message| u64::from(message.answer))
            .sum::<u64>()
            / asking.len() as u64;
        assert!((1_960..=2_040).contains(&mean), "{mean}");
        assert!(
            played(Side::Down, 4)
                .iter()
                .all(|message| message.answer == 0)
        );
    }

    #[test]
    fn both_ends_are_in_the_same_state_at_the_same_time() {
        let model = office();
        let mut stay = Screen::new(office(), Side::Up, 5).stay;
        let mut down = played(Side::Down, 5).into_iter().peekable();
        for key in played(Side::Up, 5) {
            while stay.end_us <= key.at_us {
                stay.next(&model.states);
            }
            assert_eq!(stay.state, 1, "keys are typed while typing");
            while let Some(picture) = down.next_if(|picture| picture.at_us < stay.end_us) {
                let is_video = picture.bytes == 20_000;
                assert!(
                    picture.at_us < key.at_us || !is_video,
                    "no video while typing"
                );
            }
        }
    }

    #[test]
    fn an_end_that_never_speaks_is_at_its_end() {
        let text = r#"{"schema": "telerelay.model/1", "name": "still", "source": "", "states": [
            {"name": "idle", "weight": 1, "stay_ms": [[0, 1], [1, 9]], "up": null, "down": null}]}"#;
        let still = Arc::new(Model::parse(text).expect("a model"));
        assert_eq!(Screen::new(still, Side::Up, 1).next(), None);
    }
}
