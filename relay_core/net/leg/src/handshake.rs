//! Drives a handshake over a stream, either side, and no byte further than it reaches.
use std::io;

use telerelay_wire::limits;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::tls::{Progress, Tls, TlsError};

/// Why a handshake did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    /// The stream below ended or broke.
    #[error(transparent)]
    Stream(#[from] io::Error),
    /// TLS refused, or was refused. The alert was sent.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// The first step of an endpoint: sends the ClientHello and waits for anything to come back.
pub(crate) async fn begin<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    tls: &mut Tls,
) -> io::Result<()> {
    write_all(stream, tls).await?;
    read(stream, tls).await
}

/// Runs the handshake to its end; everything this side has to say is written then. What was read behind the handshake
/// stays in the buffer of `tls`.
pub(crate) async fn run<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    tls: &mut Tls,
) -> Result<(), HandshakeError> {
    loop {
        let advanced = advance(tls);
        write_all(stream, tls).await?;
        advanced?;
        if !tls.is_handshaking() {
            return Ok(());
        }
        read(stream, tls).await?;
    }
}

async fn read<S: AsyncRead + Unpin>(stream: &mut S, tls: &mut Tls) -> io::Result<()> {
    match stream
        .read_buf(tls.read_buffer(limits::HANDSHAKE_READ))
        .await?
    {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

/// Takes whole records until the handshake is over or bytes are missing.
fn advance(tls: &mut Tls) -> Result<(), HandshakeError> {
    while tls.is_handshaking() {
        match tls
            .read_record(|_| debug_assert!(false, "no plaintext before the end of a handshake"))?
        {
            Progress::Record => {}
            Progress::Starved => break,
            Progress::Closed => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
        }
    }
    Ok(())
}

async fn write_all<S: AsyncWrite + Unpin>(stream: &mut S, tls: &mut Tls) -> io::Result<()> {
    while !tls.outgoing().is_empty() {
        let written = stream.write(tls.outgoing()).await?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        tls.sent(written);
    }
    Ok(())
}
