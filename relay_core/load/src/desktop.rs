//! The desktop behind every agent of this process: greets like an RFB server, answers keys, and draws what its screen model says.
use std::io;
use std::pin::pin;
use std::time::Instant;

use telerelay_endpoint::LocalAddress;
use tempfile::TempDir;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep_until;

use crate::exchange::{GREETING, HEADER, Key, Opening, Picture};
use crate::play::{Models, Screen, Side};

/// Bytes that are read at once.
pub(crate) const READ: usize = 16 * 1024;
/// Keys that wait while a picture is written; those behind them wait in the socket.
const KEYS: usize = 64;

/// A desktop that listens on a Unix socket of its own; dropped, it ends with all its connections.
#[derive(Debug)]
pub(crate) struct Desktop {
    address: LocalAddress,
    task: JoinHandle<()>,
    _folder: TempDir,
}

impl Desktop {
    /// Listens. `models` are those that viewers may ask for.
    pub(crate) fn start(models: Models) -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("desktop");
        let listener = UnixListener::bind(&path)?;
        Ok(Self {
            address: LocalAddress::Unix(path),
            task: tokio::spawn(accept(listener, models)),
            _folder: folder,
        })
    }

    /// Where agents reach it.
    pub(crate) fn address(&self) -> LocalAddress {
        self.address.clone()
    }
}

impl Drop for Desktop {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: UnixListener, models: Models) {
    let mut served = JoinSet::new();
    loop {
        tokio::select! {
            arrived = listener.accept() => match arrived {
                Ok((stream, _)) => drop(served.spawn(serve(stream, models.clone()))),
                Err(error) => {
                    // What is left open is still served; whoever comes is told by the agent that the desktop is absent.
                    tracing::error!(%error, "the desktop takes nobody in any more");
                    drop(listener);
                    while served.join_next().await.is_some() {}
                    return;
                }
            },
            Some(_) = served.join_next() => {}
        }
    }
}

/// One session's desktop, until its other end leaves or asks for something that no viewer of ours asks for.
async fn serve(mut stream: UnixStream, models: Models) {
    if stream.write_all(GREETING).await.is_err() {
        return;
    }
    let Ok(opening) = Opening::read(&mut stream).await else {
        return;
    };
    let screen = models.screen(opening, Side::Down);
    let (keyboard, display) = stream.into_split();
    let (pressed, keys) = mpsc::channel(KEYS);
    tokio::select! {
        () = listen(keyboard, pressed) => {}
        _ = draw(display, keys, screen) => {}
    }
}

async fn listen(keyboard: OwnedReadHalf, pressed: mpsc::Sender<Key>) {
    let mut keyboard = BufReader::with_capacity(READ, keyboard);
    while let Ok(key) = Key::read(&mut keyboard).await {
        if key.answer > 0 && pressed.send(key).await.is_err() {
            return;
        }
    }
}

/// Answers keys, and draws by itself when it is time. It draws once for all that it missed while a picture was written, as desktops do.
async fn draw(
    mut display: OwnedWriteHalf,
    mut keys: mpsc::Receiver<Key>,
    screen: Option<Screen>,
) -> io::Result<()> {
    let began = Instant::now();
    let mut screen = screen.into_iter().flatten().peekable();
    loop {
        let due = screen.peek().map(|message| began + message.at());
        let time_to_draw = pin!(async {
            match due {
                Some(due) => sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        });
        let picture = tokio::select! {
            key = keys.recv() => match key {
                Some(key) => {
                    // It stands for the next one of its own.
                    screen.next();
                    Picture { length: key.answer, answers: Some(key.number) }
                }
                None => return Ok(()),
            },
            () = time_to_draw => {
                let mut length = HEADER;
                while let Some(missed) = screen.next_if(|next| next.at() <= began.elapsed()) {
                    length = missed.bytes.max(HEADER);
                }
                Picture { length, answers: None }
            }
        };
        display.write_all_buf(&mut picture.encoded()).await?;
    }
}
