//! The desktop behind every agent of this process: greets like an RFB server, then answers each request with as many bytes as it asks for.
use std::io;

use telerelay_endpoint::LocalAddress;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::exchange::{ANSWER_MOST, GREETING, Request};

/// A desktop that listens on a Unix socket of its own; dropped, it ends with all its connections.
#[derive(Debug)]
pub(crate) struct Desktop {
    address: LocalAddress,
    task: JoinHandle<()>,
    _folder: TempDir,
}

impl Desktop {
    /// Listens.
    pub(crate) fn start() -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("desktop");
        let listener = UnixListener::bind(&path)?;
        Ok(Self {
            address: LocalAddress::Unix(path),
            task: tokio::spawn(accept(listener)),
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

async fn accept(listener: UnixListener) {
    let mut served = JoinSet::new();
    loop {
        tokio::select! {
            arrived = listener.accept() => match arrived {
                Ok((stream, _)) => drop(served.spawn(serve(stream))),
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
async fn serve(mut stream: UnixStream) {
    let mut answer = Vec::new();
    if stream.write_all(GREETING).await.is_err() {
        return;
    }
    while let Ok(request) = Request::read(&mut stream).await {
        if request.length > ANSWER_MOST {
            return;
        }
        request.answer(&mut answer);
        if stream.write_all(&answer).await.is_err() {
            return;
        }
    }
}
