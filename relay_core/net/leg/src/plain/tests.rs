//! Streams of the API that do not come to anything: whoever says nothing, and whoever never comes to an end.
use std::future::ready;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixStream};

use super::{Limits, PlainError, carry};
use crate::accept::accept;
use crate::config::Language;
use crate::dial::Dialer;
use crate::fixture::{Fixture, node_name};

const LONG: Duration = Duration::from_mins(1);
const SHORT: Duration = Duration::from_millis(100);

/// The stream of a request that dribbles for as long as it is taken, against a program that reads and answers so many bytes.
async fn dribble(limits: Limits, answers: usize) -> (PlainError, usize) {
    let fixture = Fixture::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let dialer = Dialer::new(fixture.pins(), None, Language::Http).unwrap();
    let (name, address) = (node_name(), address.as_str().try_into().unwrap());
    let (dialled, accepted) = tokio::join!(dialer.connect(&name, &address), async {
        let (mut socket, _) = listener.accept().await.unwrap();
        let accepted = accept(&mut socket, &fixture.configs, ready(true)).await;
        (socket, accepted.ok().unwrap().tls)
    });
    let (socket, tls) = accepted;
    let (ours, mut program) = UnixStream::pair().unwrap();
    let (mut stream, mut outer) = dialled.unwrap();
    let asking = async {
        loop {
            outer.write(b"x").unwrap();
            let sent = stream.write_all(outer.outgoing()).await;
            outer.sent(outer.outgoing().len());
            if sent.is_err() {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(SHORT / 10).await;
        }
    };
    let answering = async {
        let mut answered = 0;
        let mut byte = [0];
        while program.read(&mut byte).await.unwrap_or(0) > 0 {
            if answered < answers && program.write_all(b"y").await.is_ok() {
                answered += 1;
            }
        }
        answered
    };
    let carried = async {
        let carried = carry(socket, tls, ours, Some(limits)).await;
        carried.unwrap_err()
    };
    let both = async { tokio::join!(carried, answering) };
    tokio::select! {
        both = both => both,
        never = asking => never,
    }
}

#[tokio::test]
async fn a_request_that_never_ends_ends() {
    let limits = Limits {
        first_byte: LONG,
        unanswered: u64::MAX,
        answer: SHORT,
    };
    for answers in [0, 3] {
        let (error, answered) = dribble(limits, answers).await;
        assert_eq!(error.limit(), Some("answer"));
        assert_eq!(answered, answers);
    }
}

#[tokio::test]
async fn bytes_without_an_answer_are_counted() {
    let limits = Limits {
        first_byte: LONG,
        unanswered: 5,
        answer: LONG,
    };
    for answers in [0, 3] {
        let (error, answered) = dribble(limits, answers).await;
        assert_eq!(error.limit(), Some("bytes"));
        assert_eq!(answered, answers);
    }
}
