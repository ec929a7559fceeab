//! Traffic: sessions whose both ends are here, and what passes between them on a way that is measured.
//!
//! A way ([`way`]) makes sessions: through a relay that knows nothing of us, or through a node as agent and client. What passes is one of
//! [`bulk`], [`echo`] and [`desktop_frames`], the same whatever the way is. Ends are sockets without a runtime: offices on one thread,
//! homes on another ([`course`]), so that little stands between the schedule and the kernel.
pub(crate) mod between;
pub(crate) mod bulk;
pub(crate) mod course;
pub(crate) mod desktop_frames;
pub(crate) mod distance;
pub(crate) mod echo;
pub(crate) mod end;
mod outbox;
pub(crate) mod processors;
mod reactor;
pub(crate) mod way;

use end::End;

/// Both ends of all sessions, in the same order.
#[derive(Default)]
pub(crate) struct Sessions {
    offices: Vec<End>,
    homes: Vec<End>,
}

/// Both ends of one session.
pub(crate) struct Session {
    /// The end that shows a screen.
    pub(crate) office: End,
    /// The end that looks at it.
    pub(crate) home: End,
}

impl Sessions {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.offices.len()
    }

    /// One more.
    pub(crate) fn push(&mut self, session: Session) {
        self.offices.push(session.office);
        self.homes.push(session.home);
    }

    /// Both ends of the first so many.
    pub(crate) fn first(&mut self, count: usize) -> (&mut [End], &mut [End]) {
        (&mut self.offices[..count], &mut self.homes[..count])
    }
}

/// What is shown: nothing that compresses.
pub(crate) fn picture() -> Vec<u8> {
    (0..128 * 1024 / 8)
        .flat_map(|number| mix(number).to_be_bytes())
        .collect()
}

/// Which of `count` it is this time: as good as at random, and the same in every round.
fn scatter(number: u64, count: usize) -> usize {
    usize::try_from(mix(number) % count as u64).unwrap_or_default()
}

/// A number from 0 to 1, as [`scatter`].
fn noise(number: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "53 bits are a double's")]
    let noise = (mix(number) >> 11) as f64 / (1_u64 << 53) as f64;
    noise
}

/// The finaliser of `SplitMix64` (Steele, Lea, Flood 2014): each bit of the result depends on every bit of the number.
fn mix(number: u64) -> u64 {
    let mut bits = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
