//! The guard that draws anew: who waits for whom (docs/GUARD.md §12).
use telerelay_wire::{Moment, limits};

use super::colours::PixelFormat;
use super::desktop::{Desktop, Pixels, Scene};
use super::mark::Mark;
use super::outgoing::{Outgoing, WIDEST};
use super::screen::Screen;
use super::viewer::Viewer;
use crate::feed::{Feed, Side, Sink, Stop};
use crate::rfb::desktop_handshake::Begun;
use crate::rfb::guard::{Mode, Running};
use crate::rfb::{Between, Refusal, Settings};

/// A guard that draws the screen anew.
pub type Redraw = Between<Draw, Drawing>;

/// To draw anew.
#[derive(Debug)]
pub struct Draw {
    mark: Option<Mark>,
}

/// What is drawn anew.
#[derive(Debug)]
pub struct Drawing {
    desktop: Desktop,
    scene: Scene,
    viewer: Viewer,
    outgoing: Outgoing,
    owed: Owed,
}

/// What the desktop was asked for and has not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owed {
    Nothing,
    /// Whatever changes, once it does.
    Changes,
    /// Pixels without which the viewer's picture is worth nothing.
    Pixels,
    /// The same, and it takes its request for answered.
    PixelsStill,
}

impl Redraw {
    /// Begins a session with a desktop that is connected, and greets the viewer. Without a `mark` it sees the desktop as it is.
    pub fn begin(settings: Settings, mark: Option<Mark>, now: Moment, sink: &mut dyn Sink) -> Self {
        Self::greet(Draw { mark }, settings, now, sink)
    }
}

impl Mode<Drawing> for Draw {
    fn begin(&mut self, begun: &Begun, feed: &mut Feed<'_>) -> Result<Drawing, Refusal> {
        let screen = Screen::new(begun.width, begun.height)?;
        begun.tell(&PixelFormat::CANVAS, feed);
        let mut format = [0; 20];
        format[4..].copy_from_slice(&PixelFormat::CANVAS);
        feed.answer(&format);
        let viewer = Viewer::new(PixelFormat::of(&PixelFormat::CANVAS)?);
        Ok(Drawing {
            desktop: Desktop::behind_name(begun.name_left),
            scene: Scene::new(screen),
            outgoing: Outgoing::new(self.mark.take(), &viewer),
            viewer,
            owed: Owed::Nothing,
        })
    }
}

impl Running for Drawing {
    type Picture = Viewer;

    fn picture(&mut self) -> &mut Viewer {
        &mut self.viewer
    }

    fn desktop_step(&mut self, feed: &mut Feed<'_>) -> Result<(), Stop> {
        let asked = self.viewer.asked();
        match (self.desktop.step(feed, &mut self.scene, asked)?, self.owed) {
            (None, _) => {}
            // Xvnc tells its size so whenever pixels are asked for whole, and sends them on the next request.
            (Some(Pixels::None), Owed::Pixels | Owed::PixelsStill) => {
                self.owed = Owed::PixelsStill;
            }
            (Some(_), _) => self.owed = Owed::Nothing,
        }
        Ok(())
    }

    /// A picture that is being drawn must not change below the brush. What is for the viewer takes room only when it is drawn.
    fn desktop_room(&self, _: usize) -> usize {
        if self.outgoing.is_drawing() {
            0
        } else {
            usize::MAX
        }
    }

    /// Draws and puts for the viewer, until there is no room, nothing to draw, or others should have their turn.
    fn draw(&mut self, room: usize, sink: &mut dyn Sink) -> usize {
        let (mut put, mut drawn) = (0, 0);
        while put < room {
            let bytes = self.outgoing.take(room - put);
            if !bytes.is_empty() {
                put += bytes.len();
                sink.put(Side::Client, bytes);
                continue;
            }
            self.outgoing.clear();
            if self.outgoing.is_drawing() {
                if drawn >= limits::GUARD_TURN {
                    break;
                }
                drawn += self.outgoing.draw(&self.scene.screen);
            } else if !self.next_message() {
                break;
            }
        }
        put
    }

    /// Asks the desktop for what the viewer waits for, once what it has sent was drawn.
    fn ask(&mut self, sink: &mut dyn Sink) {
        let wanted = self.viewer.waits_for();
        if wanted.is_empty() || self.desktop.is_updating() || self.outgoing.is_drawing() {
            return;
        }
        let whole = self.scene.screen.area();
        if core::mem::take(&mut self.scene.is_blank) {
            self.viewer.needs(&whole);
        }
        let afresh = self.viewer.take_afresh().within(&whole);
        let (incremental, area) = if !afresh.is_empty() {
            self.scene.screen.mark(&afresh);
            self.owed = Owed::Pixels;
            (0, afresh)
        } else if self.owed == Owed::PixelsStill {
            self.owed = Owed::Pixels;
            (1, whole)
        } else if self.owed == Owed::Nothing && !self.scene.screen.has_changed(&wanted) {
            self.owed = Owed::Changes;
            (1, whole)
        } else {
            return;
        };
        self.desktop.is_asked = true;
        sink.put(Side::Desktop, &[3, incremental]);
        sink.put(Side::Desktop, &area.bytes());
    }
}

impl Drawing {
    /// Begins the next message to the viewer, where there is something that it waits for.
    fn next_message(&mut self) -> bool {
        if self.viewer.take_end() {
            self.outgoing.say(150);
            return true;
        }
        if core::mem::take(&mut self.scene.bell) {
            self.outgoing.say(2);
            return true;
        }
        let wanted = self.viewer.waits_for();
        if wanted.is_empty() || self.desktop.is_updating() {
            return false;
        }
        let areas = if self.scene.size.is_some() {
            // An update with another size has no pixels: the viewer has no place for them yet.
            Vec::new()
        } else if matches!(self.owed, Owed::Pixels | Owed::PixelsStill) {
            return false;
        } else {
            self.scene.screen.take_changed(&wanted, WIDEST)
        };
        if areas.is_empty() && !self.scene.has_news() {
            return false;
        }
        self.outgoing.begin(&mut self.scene, &self.viewer, areas);
        self.viewer.given();
        true
    }
}
