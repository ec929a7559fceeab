//! The path of a node for tests: records both ways, SWITCH, and what may be done to them (PROTOCOL.md §6).
use std::io;
use std::net::Shutdown;

use socket2::SockRef;
use telerelay_leg::accept::linger;
use telerelay_leg::tls::Progress;
use telerelay_outer::{PathKind, Traffic};
use telerelay_wire::outer::{Frame, Reader, Switch, path_header, path_view};
use tokio::io::Interest;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{Fault, LINGER, Leg, Order, Switching};
use crate::world::pattern;

const UNSENT: usize = 64 * 1024;
/// Bytes of one PATH frame, from a leg that is raw.
const PIECE: usize = 16_000;

/// One leg of a path.
pub(super) struct Half {
    leg: Leg,
    switching: Switching,
    is_raw: bool,
    /// SWITCH was answered: `raw` is sent behind what TLS put out last.
    is_frozen: bool,
    /// Nothing comes and goes any more.
    is_dead: bool,
    raw: Vec<u8>,
    /// Where sockets are written in random pieces: their lengths.
    chops: Option<std::vec::IntoIter<u8>>,
}

impl Half {
    pub(super) fn new(leg: Leg, switching: Switching, chops: bool) -> Self {
        Self {
            leg,
            switching,
            is_raw: false,
            is_frozen: false,
            is_dead: false,
            raw: Vec::new(),
            chops: chops.then(|| pattern(1 << 16, 77).into_iter()),
        }
    }

    fn unsent(&self) -> usize {
        self.leg.tls.outgoing().len() + self.raw.len()
    }

    /// What is for this leg: a frame in TLS, or raw.
    fn give(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.is_frozen {
            self.raw.extend_from_slice(bytes);
            return Ok(());
        }
        for piece in bytes.chunks(PIECE) {
            let header = path_header(u16::try_from(piece.len()).unwrap());
            self.leg.tls.write(&[&header[..], piece].concat())?;
        }
        Ok(())
    }

    /// SWITCH came from this leg.
    fn switched(&mut self) -> io::Result<()> {
        assert!(!self.is_raw, "an endpoint switches once");
        self.is_raw = true;
        let mut switch = Vec::new();
        Frame::Switch(Switch {}).encode(&mut switch).unwrap();
        let tls = &mut self.leg.tls;
        match self.switching {
            Switching::Withheld => {}
            Switching::Swallowed => self.is_dead = true,
            Switching::Reset => return Err(io::ErrorKind::ConnectionReset.into()),
            Switching::Forged => tls.write(&switch)?,
            Switching::Answered | Switching::Garbage | Switching::Spoilt | Switching::Twice => {
                tls.write(&switch)?;
                if self.switching == Switching::Twice {
                    tls.write(&switch)?;
                }
                tls.freeze();
                self.is_frozen = true;
                if self.switching == Switching::Garbage {
                    self.raw = pattern(4_096, 5);
                }
            }
        }
        Ok(())
    }

    /// Writes what the socket takes; whether something is left.
    fn try_flush(&mut self) -> io::Result<bool> {
        loop {
            let tls = self.leg.tls.outgoing();
            let next = if tls.is_empty() { &self.raw[..] } else { tls };
            if next.is_empty() {
                return Ok(false);
            }
            let most = match &mut self.chops {
                Some(chops) => usize::from(chops.next().unwrap_or(255)) + 1,
                None => next.len(),
            };
            match self.leg.socket.try_write(&next[..most.min(next.len())]) {
                Ok(length) if tls.is_empty() => drop(self.raw.drain(..length)),
                Ok(length) => self.leg.tls.sent(length),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error),
            }
        }
    }

    async fn ready(&self, read: bool) {
        let interest = match (read && !self.is_dead, self.unsent() > 0) {
            (true, true) => Interest::READABLE | Interest::WRITABLE,
            (true, false) => Interest::READABLE,
            (false, true) => Interest::WRITABLE,
            (false, false) => return std::future::pending().await,
        };
        // What is wrong shows when it is read or written.
        drop(self.leg.socket.ready(interest).await);
    }

    async fn leave(mut self) {
        if !self.is_frozen && self.leg.tls.close_notify().is_err() {
            return;
        }
        let flushed = async {
            while self.try_flush()? {
                self.leg.socket.writable().await?;
            }
            Ok::<_, io::Error>(())
        };
        if let Ok(Ok(())) = timeout(LINGER, flushed).await {
            linger(&mut self.leg.socket, LINGER).await;
        }
    }

    fn reset(self) {
        self.leg.socket.set_zero_linger().unwrap();
    }
}

/// Moves records both ways until both directions have ended, a leg breaks, or it is told otherwise.
pub(super) async fn move_bytes(
    mut agent: Half,
    mut client: Half,
    mut orders: mpsc::UnboundedReceiver<Order>,
    mut faults: mpsc::UnboundedReceiver<Fault>,
) -> (Traffic, PathKind) {
    let mut traffic = Traffic::default();
    let (mut up, mut down) = (Direction::default(), Direction::default());
    while let (Ok(moved_up), Ok(moved_down)) = (
        up.shift(&mut client, &mut agent, &mut traffic.to_agent),
        down.shift(&mut agent, &mut client, &mut traffic.to_client),
    ) {
        // Nothing more comes from a leg that is swallowed, not even its end.
        let is_over = (up.is_over || client.is_dead) && (down.is_over || agent.is_dead);
        if is_over && !client.try_flush().is_ok_and(|left| left) {
            break;
        }
        if moved_up || moved_down {
            tokio::task::yield_now().await;
            continue;
        }
        tokio::select! {
            () = agent.ready(down.wants(&client)) => {}
            () = client.ready(up.wants(&agent)) => {}
            fault = faults.recv() => match fault {
                Some(Fault::BitToAgent) => up.spoiled = true,
                Some(Fault::BitToClient) => down.spoiled = true,
                Some(Fault::Reset) | None => {
                    let kind = kind_of(&agent, &client);
                    if fault.is_some() {
                        agent.reset();
                        client.reset();
                    }
                    return (traffic, kind);
                }
            },
            // Close is all that a path is told.
            _ = orders.recv() => break,
        }
    }
    let kind = kind_of(&agent, &client);
    tokio::join!(agent.leave(), client.leave());
    (traffic, kind)
}

fn kind_of(agent: &Half, client: &Half) -> PathKind {
    match (agent.is_frozen, client.is_frozen) {
        (true, true) => PathKind::Direct,
        (false, false) => PathKind::Wrapped,
        _ => PathKind::Mixed,
    }
}

#[derive(Default)]
struct Direction {
    is_over: bool,
    /// The next record is to be spoiled.
    spoiled: bool,
}

impl Direction {
    fn wants(&self, dst: &Half) -> bool {
        !self.is_over && dst.unsent() < UNSENT
    }

    fn shift(&mut self, src: &mut Half, dst: &mut Half, carried: &mut u64) -> io::Result<bool> {
        let mut moved = false;
        while self.wants(dst) && !src.is_dead {
            let Some(mut bytes) = self.take(src, dst, &mut moved)? else {
                break;
            };
            if bytes.is_empty() {
                continue;
            }
            if dst.is_frozen && dst.switching == Switching::Spoilt {
                self.spoiled |= std::mem::take(&mut dst.switching) == Switching::Spoilt;
            }
            if let Some(last) = bytes.last_mut()
                && std::mem::take(&mut self.spoiled)
            {
                *last ^= 1;
            }
            *carried += bytes.len() as u64;
            if !dst.is_dead {
                dst.give(&bytes)?;
            }
            moved = true;
        }
        if !dst.try_flush()? && self.is_over {
            SockRef::from(&dst.leg.socket).shutdown(Shutdown::Write)?;
        }
        Ok(moved)
    }

    /// The next bytes of inner TLS from `src`, none where something else came; `None` where nothing is there.
    fn take(
        &mut self,
        src: &mut Half,
        dst: &mut Half,
        moved: &mut bool,
    ) -> io::Result<Option<Vec<u8>>> {
        let tls = &mut src.leg.tls;
        if src.is_raw {
            let mut bytes = tls.take_left_over();
            if !bytes.is_empty() {
                return Ok(Some(bytes));
            }
            return match src.leg.socket.try_read_buf({
                bytes.reserve(UNSENT);
                &mut bytes
            }) {
                Ok(0) => self.end(dst).map(|()| None),
                Ok(_) => Ok(Some(bytes)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
                Err(error) => Err(error),
            };
        }
        let mut record = Vec::new();
        match tls.read_record(|plaintext| record.extend_from_slice(plaintext))? {
            Progress::Record => match path_view(&record) {
                Some(bytes) => Ok(Some(bytes.to_vec())),
                None if is_switch(&record) => {
                    *moved = true;
                    src.switched()?;
                    Ok(Some(Vec::new()))
                }
                None => Ok(Some(Vec::new())),
            },
            Progress::Closed => self.end(dst).map(|()| None),
            Progress::Starved => match src.leg.socket.try_read_buf(tls.read_buffer(UNSENT)) {
                Ok(0) => self.end(dst).map(|()| None),
                Ok(_) => {
                    *moved = true;
                    Ok(Some(Vec::new()))
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
                Err(error) => Err(error),
            },
        }
    }

    fn end(&mut self, dst: &mut Half) -> io::Result<()> {
        self.is_over = true;
        if dst.is_frozen {
            return Ok(());
        }
        dst.leg.tls.close_notify()
    }
}

fn is_switch(record: &[u8]) -> bool {
    let mut reader = Reader::new();
    reader.push(record);
    matches!(reader.next(), Ok(Some(Frame::Switch(_)))) && reader.is_between_frames()
}
