//! Orders: what is refused, and what a name that has outlived its path does.
use std::fs::File;
use std::sync::mpsc::{Sender, channel};

use telerelay_engine::{Close, Leg, Outcome, Path, Reason};
use telerelay_wire::limits;

use super::kit::{
    LATE, carry, carry_changed, engine, leg, listener, read_exactly, rest, shut, write,
};

#[test]
fn the_name_of_a_path_that_has_ended_closes_no_other() {
    let engine = engine(2);
    let mut first = carry(&engine.worker(0));
    shut(&first.agent);
    shut(&first.client);
    assert_eq!(first.outcome().reason, Reason::Done);
    // It has the same place.
    let second = carry(&engine.worker(0));
    first.close(Close::Reset);
    for _ in 0..3 {
        write(&second.agent, b"here");
        assert_eq!(read_exactly(&second.client, 4), b"here");
    }
}

#[test]
fn a_worker_takes_a_bounded_number_at_once_and_gives_the_rest_back() {
    let engine = engine(2);
    let handle = engine.worker(0);
    let (tell, told) = channel();
    let (go, wait) = channel::<()>();
    // The worker stands still: it tells the end of a path.
    let standing = engine.worker(0);
    let listener = listener();
    let (agent, agent_leg) = leg(&listener);
    let (client, client_leg) = leg(&listener);
    let path = Path {
        agent: agent_leg,
        client: client_leg,
        test: false,
        done: Box::new(move |_| {
            tell.send(()).unwrap();
            wait.recv().unwrap();
        }),
    };
    standing.adopt(path).unwrap();
    shut(&agent);
    shut(&client);
    told.recv().unwrap();

    let (tell, ended) = channel();
    let keys: Vec<_> = (0..limits::ENGINE_ORDERS)
        .map(|_| handle.adopt(nowhere(&tell)).unwrap())
        .collect();
    assert!(handle.adopt(nowhere(&tell)).is_err(), "one too many");
    // A close is never refused.
    for key in keys {
        key.close(Close::Reset);
    }
    go.send(()).unwrap();
    for _ in 0..limits::ENGINE_ORDERS {
        let reason = ended.recv_timeout(LATE).unwrap().reason;
        assert!(matches!(reason, Reason::Failed(..)), "{reason:?}");
    }
    let path = carry(&handle);
    write(&path.agent, b"on");
    assert_eq!(read_exactly(&path.client, 2), b"on");
}

/// A path whose legs are no sockets: it fails when the worker takes it.
fn nowhere(tell: &Sender<Outcome>) -> Path {
    let leg = || Leg::new(File::open("/dev/null").unwrap().into());
    let tell = tell.clone();
    Path {
        agent: leg(),
        client: leg(),
        test: false,
        done: Box::new(move |outcome| tell.send(outcome).unwrap()),
    }
}

#[test]
fn a_stopped_engine_gives_paths_back() {
    let engine = engine(2);
    let handle = engine.worker(0);
    engine.stop(Close::Linger);
    let (tell, ended) = channel();
    assert!(handle.adopt(nowhere(&tell)).is_err());
    engine.join().unwrap();
    assert!(handle.adopt(nowhere(&tell)).is_err());
    assert!(ended.try_recv().is_err(), "nobody is told");
}

#[test]
fn a_panic_of_whoever_is_told_ends_the_worker_and_gives_paths_back() {
    let engine = engine(2);
    let handle = engine.worker(0);
    let listener = listener();
    let (agent, agent_leg) = leg(&listener);
    let (client, client_leg) = leg(&listener);
    let other = carry_changed(&handle, |_, _| {});
    handle
        .adopt(Path {
            agent: agent_leg,
            client: client_leg,
            test: false,
            done: Box::new(|_| panic!("on purpose")),
        })
        .unwrap();
    shut(&agent);
    shut(&client);
    assert!(other.outcome.recv().is_err(), "dropped untold");
    assert_eq!(rest(&other.client), b"");
    let joined = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| engine.join()));
    assert!(joined.is_err());
    assert!(handle.adopt(nowhere(&channel().0)).is_err());
}
