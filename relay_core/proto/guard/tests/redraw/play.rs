//! A guard between a desktop and a viewer, and what moves between them.
use telerelay_guard::redraw::{Mark, Redraw};
use telerelay_guard::rfb::{Refusal, Settings};
use telerelay_guard::{Machine, Side, Sink};
use telerelay_wire::Moment;

use crate::desk::Desk;
use crate::home::{Format, Home, shown};

pub(crate) const EVERYTHING: [i32; 12] =
    [0, 1, 6, 16, -223, -224, -239, -258, -307, -308, -312, -313];

/// What was put and has not arrived.
#[derive(Debug, Default)]
pub(crate) struct Put {
    pub(crate) to_client: Vec<u8>,
    pub(crate) to_desktop: Vec<u8>,
}

impl Sink for Put {
    fn put(&mut self, to: Side, bytes: &[u8]) {
        match to {
            Side::Client => self.to_client.extend_from_slice(bytes),
            Side::Desktop => self.to_desktop.extend_from_slice(bytes),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Play {
    pub(crate) guard: Redraw,
    put: Put,
    pub(crate) desk: Desk,
    pub(crate) home: Home,
    /// What the viewer says next.
    pub(crate) says: Vec<u8>,
    /// The most bytes that move at once.
    pub(crate) piece: usize,
    pub(crate) refused: Option<Refusal>,
}

impl Play {
    /// Behind both handshakes; nobody has asked for anything.
    pub(crate) fn begin(desk: Desk, mark: Option<Mark>, settings: Settings) -> Self {
        let mut put = Put::default();
        let guard = Redraw::begin(settings, mark, Moment::ZERO, &mut put);
        let mut play = Self {
            guard,
            put,
            desk,
            home: Home::new(),
            says: b"RFB 003.003\n\x01".to_vec(),
            piece: usize::MAX,
            refused: None,
        };
        play.desk.greet();
        play.settle();
        play
    }

    /// A viewer with these encodings, in front of a desktop without a mark.
    pub(crate) fn of(width: usize, height: usize, encodings: &[i32]) -> Self {
        let mut play = Self::begin(Desk::new(width, height), None, Settings::default());
        play.name(encodings);
        play
    }

    pub(crate) fn name(&mut self, encodings: &[i32]) {
        self.says
            .extend([2, 0, 0, u8::try_from(encodings.len()).unwrap()]);
        let numbers = encodings.iter().flat_map(|number| number.to_be_bytes());
        self.says.extend(numbers);
    }

    pub(crate) fn format(&mut self, format: Format) {
        self.says.extend([0; 4]);
        self.says.extend(format);
    }

    /// Asks for the whole screen, as the viewer knows it.
    pub(crate) fn ask(&mut self, incremental: bool) {
        self.says.extend([3, u8::from(incremental), 0, 0, 0, 0]);
        for side in [self.home.width, self.home.height] {
            self.says.extend(u16::try_from(side).unwrap().to_be_bytes());
        }
    }

    /// Everything moves as far as it can.
    pub(crate) fn settle(&mut self) {
        while self.turn(self.piece) {}
    }

    /// A piece moves each way, of the picture at most `room`: whether something did.
    pub(crate) fn turn(&mut self, room: usize) -> bool {
        let now = Moment(1);
        let said = first(&mut self.says, self.piece);
        let mut result = self.guard.client_bytes(&said, now, &mut self.put);
        let to_desktop = std::mem::take(&mut self.put.to_desktop);
        self.desk.hear(&to_desktop);
        let most = self.guard.desktop_room(usize::MAX).min(self.piece);
        let heard = first(&mut self.desk.says, most);
        if result.is_ok() {
            result = self.guard.desktop_bytes(&heard, now, &mut self.put);
        }
        let before = self.put.to_client.len();
        let drawn = self.guard.draw(room, &mut self.put);
        assert_eq!(self.put.to_client.len() - before, drawn);
        assert!(drawn <= room, "more than there is room for");
        let to_client = std::mem::take(&mut self.put.to_client);
        self.home.hear(&to_client);
        self.refused = self.refused.or(result.err());
        self.refused.is_none() && said.len() + to_desktop.len() + heard.len() + to_client.len() > 0
    }

    /// What the viewer has is what the desktop shows, seen through `mark` by `format`.
    #[track_caller]
    pub(crate) fn check(&self, format: &Format, mark: impl Fn(usize, usize) -> i8) {
        assert_eq!(self.refused, None);
        assert!(self.home.is_between(), "a message is cut");
        let (width, height) = (self.desk.width, self.desk.height);
        assert_eq!((self.home.width, self.home.height), (width, height));
        for (at, colour) in self.desk.picture.iter().enumerate() {
            let (x, y) = (at % width, at / width);
            let weight = mark(x, y);
            let seen = colour.map(|part| marked(part, weight));
            assert_eq!(self.home.picture[at], shown(format, seen), "at ({x}, {y})");
        }
    }
}

/// A part of a pixel under a weight, as docs/GUARD.md §13 has it.
fn marked(part: u8, weight: i8) -> u8 {
    let way = if weight > 0 {
        255 - u32::from(part)
    } else {
        part.into()
    };
    let way = u8::try_from(way * u32::from(weight.unsigned_abs()) / 128).unwrap();
    if weight > 0 { part + way } else { part - way }
}

fn first(bytes: &mut Vec<u8>, most: usize) -> Vec<u8> {
    let most = most.min(bytes.len());
    bytes.drain(..most).collect()
}
