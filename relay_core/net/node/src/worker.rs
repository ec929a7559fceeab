//! The threads of a node: one runtime each, the first of which also accepts and runs the machine's timers.
use std::io;
use std::sync::Arc;
use std::thread;

use telerelay_engine::{self as engine, Engine};
use telerelay_wire::limits;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::time::{sleep, timeout};

use crate::connection::Entrance;
use crate::control::Control;
use crate::door::Door;
use crate::event::Event;
use crate::listener;
use crate::memory::Gauge;

/// A listening socket and what is behind it.
pub(crate) type Opened = (std::net::TcpListener, Entrance);

/// Starts the engine, and a thread beside each of its own. They end by themselves when the node has drained, and the end of the
/// last tells the node's; where not all of them can be started, the caller drains the node.
pub(crate) fn start(
    control: &Arc<Control>,
    door: &Arc<Door>,
    listeners: Vec<Opened>,
    config: engine::Config,
) -> io::Result<Arc<Engine>> {
    let engine = Arc::new(Engine::start(config)?);
    let workers = engine.workers();
    let running = Arc::new(Running {
        control: control.clone(),
        engine: engine.clone(),
    });
    let beside = (0..workers).map(|number| engine.worker(number)).collect();
    control.set_engines(beside);
    let runtimes: Vec<Runtime> = (0..workers)
        .map(|_| Builder::new_current_thread().enable_all().build())
        .collect::<io::Result<_>>()?;
    let handles: Vec<Handle> = runtimes
        .iter()
        .map(|runtime| runtime.handle().clone())
        .collect();
    {
        let first = &runtimes[0];
        // Listeners register with the runtime that they are made in.
        let _inside = first.enter();
        for (socket, entrance) in listeners {
            let listener = Arc::new(TcpListener::from_std(socket)?);
            let workers = handles.clone();
            first.spawn(kept_alive(control.clone(), "listener", move || {
                listener::run(listener.clone(), entrance.clone(), workers.clone())
            }));
        }
        let timed = control.clone();
        first.spawn(kept_alive(control.clone(), "timers", move || {
            timed.clone().run_timers()
        }));
        let (door, gauge) = (door.clone(), Arc::new(Gauge::open()?));
        first.spawn(kept_alive(control.clone(), "door", move || {
            door.clone().run_timers(gauge.clone())
        }));
    }
    for (number, runtime) in runtimes.into_iter().enumerate() {
        let running = running.clone();
        thread::Builder::new()
            .name(format!("telerelay-{number}"))
            .spawn(move || {
                runtime.block_on(until_empty(&running.control));
                drop(runtime);
                drop(running);
            })?;
    }
    Ok(engine)
}

/// Runs what a node cannot be without. A panic there costs what it was at, not the node.
async fn kept_alive<F>(control: Arc<Control>, what: &'static str, make: impl Fn() -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    while let Err(error) = tokio::spawn(make()).await {
        if !error.is_panic() {
            return;
        }
        control.counters.panics.add(1);
        tracing::error!(code = "INTERNAL", what, "panicked, and is started again");
        sleep(limits::STOP_LOOK).await;
    }
}

/// Waits for the end of the node, and then a little for connections that are still reading what was sent to them last.
async fn until_empty(control: &Control) {
    control.drained().await;
    let empty = async {
        while control.counters.connections.get() > 0 {
            sleep(limits::STOP_LOOK).await;
        }
    };
    // Those that are not gone by then are closed with their runtime.
    let _late = timeout(limits::LINGER, empty).await;
}

/// Tells the end of the node when the last thread is through. No path is left then: there are no attempts any more.
struct Running {
    control: Arc<Control>,
    engine: Arc<Engine>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.engine.stop(engine::Close::Reset);
        self.control.told.tell(Event::Stopped);
    }
}
