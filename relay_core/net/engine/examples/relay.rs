//! A plain TCP relay on the engine alone, to measure what moving bytes costs: `relay LISTEN TARGET [WORKERS]`.
use std::error::Error;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;

use socket2::SockRef;
use telerelay_engine::{Config, Engine, Leg, Path};
use telerelay_wire::limits;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(listen), Some(target)) = (arguments.next(), arguments.next()) else {
        return Err("relay LISTEN TARGET [WORKERS]".into());
    };
    let workers = arguments.next().map_or(Ok(1), |workers| workers.parse())?;
    let engine = Engine::start(Config::new(workers))?;
    let listener = TcpListener::bind(listen)?;
    SockRef::from(&listener).set_recv_buffer_size(limits::TCP_UNREAD)?;
    for (number, client) in listener.incoming().enumerate() {
        let path = Path {
            agent: leg(TcpStream::connect(&target)?)?,
            client: leg(client?)?,
            test: false,
            done: Box::new(|_| {}),
        };
        engine
            .worker(number)
            .adopt(path)
            .map_err(|_| "more connections at once than the engine takes")?;
    }
    Ok(())
}

/// As the node sets its legs.
fn leg(socket: TcpStream) -> Result<Leg, std::io::Error> {
    let tuned = SockRef::from(&socket);
    tuned.set_tcp_nodelay(true)?;
    tuned.set_tcp_notsent_lowat(limits::TCP_UNSENT)?;
    Ok(Leg::new(OwnedFd::from(socket)))
}
