//! What a relay of two TLS legs cannot do without: decrypt, copy, encrypt. Nothing else is here, to compare with.
use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;

use rustix::event::epoll::EventFlags;
use telerelay_leg::socket::listen;

use crate::LoadError;
use crate::traffic::end::{End, READ, scratch};
use crate::traffic::outbox::Outbox;
use crate::traffic::reactor::Reactor;
use crate::traffic::way::{Legs, WayError};

/// Leads whoever comes to `front` on by `legs`, each on a thread of its own, until the process ends.
pub(crate) fn run(front: SocketAddr, legs: Legs) -> Result<(), LoadError> {
    let (listener, legs) = (listen(front)?, Arc::new(legs));
    listener.set_nonblocking(false)?;
    loop {
        let (socket, _) = listener.accept()?;
        let legs = legs.clone();
        thread::Builder::new()
            .name("pair".to_owned())
            .spawn(move || {
                let Err(error) = Pair::come(socket, &legs).and_then(Pair::carry);
                tracing::debug!(%error, "a pair has ended");
            })?;
    }
}

/// Two legs, and what each of them is still owed.
struct Pair {
    legs: [End; 2],
    owed: [Outbox; 2],
}

impl Pair {
    fn come(socket: TcpStream, legs: &Legs) -> Result<Self, WayError> {
        let legs = [legs.take(socket)?, legs.dial(0)?];
        for leg in &legs {
            leg.socket().set_nonblocking(true)?;
        }
        Ok(Self {
            legs,
            owed: [Outbox::default(), Outbox::default()],
        })
    }

    /// Until either leg ends.
    fn carry(mut self) -> Result<Infallible, WayError> {
        let mut reactor = Reactor::new()?;
        for (number, leg) in self.legs.iter().enumerate() {
            let flags = EventFlags::IN | EventFlags::OUT | EventFlags::ET;
            reactor.add(leg, number, flags)?;
        }
        let mut scratch = scratch();
        loop {
            self.turn(&mut scratch)?;
            // Whichever it is, both are looked at.
            let _ready = reactor.wait(None)?.count();
        }
    }

    fn turn(&mut self, scratch: &mut [u8]) -> io::Result<()> {
        let [here, there] = &mut self.legs;
        let [to_here, to_there] = &mut self.owed;
        pass(here, there, to_there, scratch)?;
        pass(there, here, to_here, scratch)
    }
}

/// Moves what there is: one leg is read while the other one is owed nothing.
fn pass(from: &mut End, to: &mut End, owed: &mut Outbox, scratch: &mut [u8]) -> io::Result<()> {
    while owed.flush(to)? {
        if from.read(scratch, |bytes| owed.send(to, bytes))? < READ {
            break;
        }
    }
    Ok(())
}
