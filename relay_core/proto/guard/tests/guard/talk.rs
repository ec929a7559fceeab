//! A conversation of viewer, guard and desktop, piece by piece, and a guard that is played it.
use telerelay_guard::rfb::{Guard, OWN, Refusal, Secret, Settings};
use telerelay_guard::{Machine, Side, Sink};
use telerelay_wire::Moment;

/// What a piece is: the letters of `tests/vectors/record.py`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// `c`, `>`: the client says it; it reaches the desktop as it is, or not.
    Client { passes: bool },
    /// `-`, `<`: the desktop says it; it reaches the viewer as it is, or not.
    Desktop { passes: bool },
    /// `v`, `g`: the guard's own words.
    Guard { to: Side },
}

/// A conversation.
#[derive(Clone, Debug, Default)]
pub(crate) struct Talk {
    pieces: Vec<(Kind, Vec<u8>)>,
    view_only: bool,
    secret: Option<&'static [u8]>,
}

/// What came of a conversation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) to_client: Vec<u8>,
    pub(crate) to_desktop: Vec<u8>,
    pub(crate) refusal: Option<Refusal>,
    pub(crate) last_input: Option<Moment>,
    pub(crate) is_ready: bool,
}

impl Sink for Outcome {
    fn put(&mut self, to: Side, bytes: &[u8]) {
        match to {
            Side::Client => self.to_client.extend_from_slice(bytes),
            Side::Desktop => self.to_desktop.extend_from_slice(bytes),
        }
    }
}

impl Talk {
    pub(crate) fn parse(vector: &str) -> Self {
        let pieces = vector.lines().map(|line| {
            let (kind, digits) = line.split_once(' ').unwrap();
            let kind = match kind {
                "c" => Kind::Client { passes: false },
                ">" => Kind::Client { passes: true },
                "-" => Kind::Desktop { passes: false },
                "<" => Kind::Desktop { passes: true },
                "v" => Kind::Guard { to: Side::Client },
                "g" => Kind::Guard { to: Side::Desktop },
                other => panic!("no kind of piece: {other}"),
            };
            (kind, bytes_of(digits))
        });
        Self {
            pieces: pieces.collect(),
            ..Self::default()
        }
    }

    /// Both handshakes with a desktop of 64 × 48 pixels of 32 bits.
    pub(crate) fn opened() -> Self {
        Self::default()
            .viewer_greets(b"RFB 003.008\n", &[1, 1])
            .swallowed(&[1])
            .own_to_viewer(&[0; 4])
            .swallowed(&[1])
            .desktop_greets(b"RFB 003.008\n", b"RFB 003.008\n")
            .kept(&[1, 1])
            .own_to_desktop(&[1])
            .kept(&[0; 4])
            .own_to_desktop(&[1])
            .desktop_shows(b"office", b"office")
    }

    /// The same, and the client has asked for pixels in every encoding that can be followed.
    pub(crate) fn running() -> Self {
        let list = set_encodings(&FOLLOWED);
        Self::opened()
            .swallowed(&list)
            .own_to_desktop(&list)
            .through(&[3, 0, 0, 0, 0, 0, 0, 64, 0, 48])
    }

    pub(crate) fn viewer_greets(self, version: &[u8], answer: &[u8]) -> Self {
        self.own_to_viewer(b"RFB 003.008\n")
            .swallowed(version)
            .own_to_viewer(answer)
    }

    pub(crate) fn desktop_greets(self, version: &[u8], answer: &[u8]) -> Self {
        self.kept(version).own_to_desktop(answer)
    }

    pub(crate) fn desktop_shows(self, name: &[u8], shown: &[u8]) -> Self {
        let mut init = vec![0, 64, 0, 48, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255];
        init.extend([16, 8, 0, 0, 0, 0]);
        self.kept(&init)
            .kept(&length_of(name))
            .own_to_viewer(&init)
            .own_to_viewer(&length_of(shown))
            .kept(name)
            .own_to_viewer(shown)
    }

    pub(crate) fn view_only(mut self) -> Self {
        self.view_only = true;
        self
    }

    pub(crate) fn with_secret(mut self, secret: &'static [u8]) -> Self {
        self.secret = Some(secret);
        self
    }

    /// The client says what reaches the desktop unchanged.
    pub(crate) fn through(self, bytes: &[u8]) -> Self {
        self.with(Kind::Client { passes: true }, bytes)
    }

    /// The client says what does not reach the desktop.
    pub(crate) fn swallowed(self, bytes: &[u8]) -> Self {
        self.with(Kind::Client { passes: false }, bytes)
    }

    /// The desktop says what reaches the viewer unchanged.
    pub(crate) fn shown(self, bytes: &[u8]) -> Self {
        self.with(Kind::Desktop { passes: true }, bytes)
    }

    /// The desktop says what does not reach the viewer.
    pub(crate) fn kept(self, bytes: &[u8]) -> Self {
        self.with(Kind::Desktop { passes: false }, bytes)
    }

    pub(crate) fn own_to_viewer(self, bytes: &[u8]) -> Self {
        self.with(Kind::Guard { to: Side::Client }, bytes)
    }

    pub(crate) fn own_to_desktop(self, bytes: &[u8]) -> Self {
        self.with(Kind::Guard { to: Side::Desktop }, bytes)
    }

    fn with(mut self, kind: Kind, bytes: &[u8]) -> Self {
        self.pieces.push((kind, bytes.to_vec()));
        self
    }

    /// Plays it whole, byte by byte, in sevens and with one cut at each place: what passes is what the pieces say.
    #[track_caller]
    pub(crate) fn check(&self) -> Outcome {
        let outcome = self.agreed();
        assert_eq!(outcome.refusal, None);
        assert!(outcome.is_ready);
        outcome
    }

    /// The same, for a conversation whose last piece is refused.
    #[track_caller]
    pub(crate) fn refused(&self) -> Refusal {
        self.agreed().refusal.expect("it is refused")
    }

    /// As [`check`](Self::check), without the cut at each place: for what is long and dull.
    #[track_caller]
    pub(crate) fn check_coarsely(&self) {
        let turns = self.turns();
        let whole = self.agreed_in_pieces(&borrowed(&turns));
        assert_eq!(whole.refusal, None);
    }

    #[track_caller]
    fn agreed(&self) -> Outcome {
        let turns = self.turns();
        let turns = borrowed(&turns);
        let whole = self.agreed_in_pieces(&turns);
        for (index, (side, bytes)) in turns.iter().enumerate() {
            for cut in 1..bytes.len() {
                let mut pieces = turns.clone();
                let (first, second) = bytes.split_at(cut);
                pieces.splice(index..=index, [(*side, first), (*side, second)]);
                assert_eq!(self.play(&pieces), whole, "turn {index} cut at {cut}");
            }
        }
        whole
    }

    #[track_caller]
    fn agreed_in_pieces(&self, turns: &[(Side, &[u8])]) -> Outcome {
        let whole = self.play(turns);
        assert_eq!(
            whole.to_client,
            self.expected(Side::Client),
            "to the client"
        );
        assert_eq!(
            whole.to_desktop,
            self.expected(Side::Desktop),
            "to the desktop"
        );
        for size in [1, 7] {
            let pieces: Vec<(Side, &[u8])> = turns
                .iter()
                .flat_map(|(side, bytes)| bytes.chunks(size).map(|piece| (*side, piece)))
                .collect();
            assert_eq!(self.play(&pieces), whole, "in pieces of {size}");
        }
        whole
    }

    /// What each side says before the other has its turn.
    fn turns(&self) -> Vec<(Side, Vec<u8>)> {
        let mut turns: Vec<(Side, Vec<u8>)> = Vec::new();
        for (kind, bytes) in &self.pieces {
            let side = match kind {
                Kind::Client { .. } => Side::Client,
                Kind::Desktop { .. } => Side::Desktop,
                Kind::Guard { .. } => continue,
            };
            match turns.last_mut() {
                Some((last, said)) if *last == side => said.extend_from_slice(bytes),
                _ => turns.push((side, bytes.clone())),
            }
        }
        turns
    }

    fn expected(&self, to: Side) -> Vec<u8> {
        let reaches = |kind: &Kind| match (kind, to) {
            (Kind::Client { passes }, Side::Desktop) | (Kind::Desktop { passes }, Side::Client) => {
                *passes
            }
            (Kind::Guard { to: side }, _) => *side == to,
            _ => false,
        };
        let reaching = self.pieces.iter().filter(|(kind, _)| reaches(kind));
        reaching.flat_map(|(_, bytes)| bytes).copied().collect()
    }

    /// Gives the pieces to a guard.
    fn play(&self, pieces: &[(Side, &[u8])]) -> Outcome {
        let mut outcome = Outcome::default();
        let settings = Settings {
            view_only: self.view_only,
            secret: self.secret.map(Secret::new),
        };
        let mut guard = Guard::begin(settings, Moment::ZERO, &mut outcome);
        for (side, bytes) in pieces {
            feed(&mut guard, *side, bytes, Moment(1), &mut outcome);
        }
        outcome.last_input = guard.last_input();
        outcome.is_ready = guard.is_ready();
        outcome
    }
}

fn borrowed(turns: &[(Side, Vec<u8>)]) -> Vec<(Side, &[u8])> {
    let turns = turns.iter();
    turns.map(|(side, bytes)| (*side, &bytes[..])).collect()
}

/// One call, whose bounds hold; a guard that has refused says so again and passes nothing.
pub(crate) fn feed(
    guard: &mut Guard,
    side: Side,
    bytes: &[u8],
    now: Moment,
    outcome: &mut Outcome,
) {
    let before = (outcome.to_client.len(), outcome.to_desktop.len());
    let result = match side {
        Side::Client => guard.client_bytes(bytes, now, outcome),
        Side::Desktop => guard.desktop_bytes(bytes, now, outcome),
    };
    let more = (
        outcome.to_client.len() - before.0,
        outcome.to_desktop.len() - before.1,
    );
    assert!(
        more.0.max(more.1) <= bytes.len() + OWN,
        "{more:?} of {}",
        bytes.len()
    );
    if outcome.refusal.is_some() {
        assert_eq!(
            (result.err(), more),
            (outcome.refusal, (0, 0)),
            "it goes on"
        );
    }
    outcome.refusal = result.err();
}

/// Every encoding of docs/GUARD.md §7.
pub(crate) const FOLLOWED: [i32; 12] =
    [0, 1, 6, 16, -223, -224, -239, -258, -307, -308, -312, -313];

pub(crate) fn set_encodings(numbers: &[i32]) -> Vec<u8> {
    let mut message = vec![2, 0];
    message.extend(u16::try_from(numbers.len()).unwrap().to_be_bytes());
    message.extend(numbers.iter().flat_map(|number| number.to_be_bytes()));
    message
}

pub(crate) fn set_pixel_format(bits: u8) -> [u8; 20] {
    let mut message = [0; 20];
    message[4] = bits;
    message
}

/// The head of a rectangle.
pub(crate) fn rectangle(width: u16, height: u16, encoding: i32) -> Vec<u8> {
    let mut head = vec![0, 0, 0, 0];
    head.extend(width.to_be_bytes());
    head.extend(height.to_be_bytes());
    head.extend(encoding.to_be_bytes());
    head
}

pub(crate) fn update(rectangles: u16) -> Vec<u8> {
    let [a, b] = rectangles.to_be_bytes();
    vec![0, 0, a, b]
}

pub(crate) fn length_of(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).unwrap().to_be_bytes()
}

/// A text that may not pass, plain or extended, of either side.
pub(crate) fn cut_text(kind: u8, length: i32, body: &[u8]) -> Vec<u8> {
    let mut message = vec![kind, 0, 0, 0];
    message.extend(length.to_be_bytes());
    message.extend(body);
    message
}

pub(crate) fn fence(flags: u32, payload: &[u8]) -> Vec<u8> {
    let mut message = vec![248, 0, 0, 0];
    message.extend(flags.to_be_bytes());
    message.push(u8::try_from(payload.len()).unwrap());
    message.extend(payload);
    message
}

fn bytes_of(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}
