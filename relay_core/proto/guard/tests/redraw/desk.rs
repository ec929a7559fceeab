//! A desktop: it has a picture, says what has changed of it when it is asked, and keeps what it hears.
use crate::home::number;

/// Red, green, blue.
pub(crate) type Colour = [u8; 3];

#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) picture: Vec<Colour>,
    /// What was painted since it was asked last: x, y, width, height.
    changes: Vec<[usize; 4]>,
    /// The byte of a pixel that means nothing: another one each time.
    idle: u8,
    /// It was asked for changes and has not answered.
    is_asked: bool,
    /// Rectangles without pixels that the next update has: heads and bodies.
    pub(crate) news: Vec<Vec<u8>>,
    /// What it tells whenever it is asked for something whole.
    pub(crate) whole_news: Option<Vec<u8>>,
    pub(crate) says: Vec<u8>,
    heard: Vec<u8>,
    /// Whole messages that it heard, without requests.
    pub(crate) messages: Vec<Vec<u8>>,
    /// Requests that it heard: incremental or not.
    pub(crate) requests: Vec<bool>,
}

impl Desk {
    pub(crate) fn new(width: usize, height: usize) -> Self {
        Self {
            width,
            height,
            picture: vec![[0; 3]; width * height],
            changes: Vec::new(),
            idle: 0,
            is_asked: false,
            news: Vec::new(),
            whole_news: None,
            says: Vec::new(),
            heard: Vec::new(),
            messages: Vec::new(),
            requests: Vec::new(),
        }
    }

    /// Its handshake of 3.3 and `ServerInit`.
    pub(crate) fn greet(&mut self) {
        self.says.extend(b"RFB 003.003\n\0\0\0\x01");
        self.says.extend(self.size());
        // Its own format, which the guard has it leave.
        self.says
            .extend([16, 16, 1, 1, 0, 31, 0, 63, 0, 31, 11, 5, 0, 0, 0, 0]);
        self.says.extend(b"\0\0\0\x06office");
    }

    /// Paints a rectangle, pixel by pixel; answers whoever waits.
    pub(crate) fn paint(
        &mut self,
        [x, y, width, height]: [usize; 4],
        mut colour: impl FnMut(usize, usize) -> Colour,
    ) {
        for row in y..y + height {
            for column in x..x + width {
                self.picture[row * self.width + column] = colour(column, row);
            }
        }
        self.changes.push([x, y, width, height]);
        if self.is_asked {
            self.answer();
        }
    }

    /// Moves everything up by some lines, as a text that is scrolled.
    pub(crate) fn scroll(&mut self, lines: usize) {
        let (width, before) = (self.width, self.picture.clone());
        let whole = [0, 0, self.width, self.height];
        self.paint(whole, |x, y| {
            *before.get((y + lines) * width + x).unwrap_or(&[255; 3])
        });
    }

    /// Has another size from now on, black, and tells it as an encoding does.
    pub(crate) fn resize(&mut self, width: usize, height: usize, news: Vec<u8>) {
        (self.width, self.height) = (width, height);
        self.picture = vec![[0; 3]; width * height];
        self.changes.clear();
        self.tell(news);
    }

    /// Tells something without pixels: with the next update, which is at once where it was asked.
    pub(crate) fn tell(&mut self, news: Vec<u8>) {
        self.news.push(news);
        if self.is_asked {
            self.answer();
        }
    }

    /// Width and height, as messages have them.
    pub(crate) fn size(&self) -> [u8; 4] {
        let [a, b] = u16::try_from(self.width).unwrap().to_be_bytes();
        let [c, d] = u16::try_from(self.height).unwrap().to_be_bytes();
        [a, b, c, d]
    }

    /// Takes what the guard says, and answers requests.
    pub(crate) fn hear(&mut self, bytes: &[u8]) {
        self.heard.extend(bytes);
        while let Some(length) = length_of(&self.heard) {
            if self.heard.len() < length {
                return;
            }
            let message: Vec<u8> = self.heard.drain(..length).collect();
            if message[0] == 3 && length == 10 {
                self.is_asked = true;
                self.requests.push(message[1] == 1);
                if message[1] == 0 {
                    let area = [2, 4, 6, 8].map(|at| number(&message, at));
                    self.changes.push(area);
                    self.news.extend(self.whole_news.clone());
                }
                if !self.changes.is_empty() || !self.news.is_empty() {
                    self.answer();
                }
            } else {
                self.messages.push(message);
            }
        }
    }

    /// An update of what it has to tell; what it has painted waits for the next request then, as Xvnc's does.
    fn answer(&mut self) {
        self.is_asked = false;
        self.idle = self.idle.wrapping_add(77);
        let changes = if self.news.is_empty() {
            std::mem::take(&mut self.changes)
        } else {
            Vec::new()
        };
        let count = u16::try_from(self.news.len() + changes.len()).unwrap();
        self.says.extend([0, 9]);
        self.says.extend(count.to_be_bytes());
        for news in self.news.drain(..) {
            self.says.extend(news);
        }
        for [x, y, width, height] in changes {
            for side in [x, y, width, height] {
                self.says.extend(u16::try_from(side).unwrap().to_be_bytes());
            }
            self.says.extend([0; 4]);
            for row in y..y + height {
                let line = &self.picture[row * self.width..][x..x + width];
                let pixels = line.iter().map(|[r, g, b]| [*b, *g, *r, self.idle]);
                self.says.extend(pixels.flatten());
            }
        }
    }
}

/// The length of what a guard may say to a desktop, handshake included.
fn length_of(bytes: &[u8]) -> Option<usize> {
    Some(match bytes.first()? {
        b'R' | 255 => 12,
        0 => 20,
        1 => 1,
        2 => 4 + 4 * number(bytes.get(..4)?, 2),
        3 => 10,
        4 => 8,
        5 => 6,
        251 => 8 + 16 * usize::from(*bytes.get(6)?),
        kind => panic!("the desktop hears {kind}"),
    })
}
