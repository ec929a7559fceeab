//! The node's side of outer TLS on rustls' buffered connection, which, unlike a real node's, can ask for a KeyUpdate.
use std::io::{self, Read, Write};
use std::sync::Arc;

use rustls::{ServerConfig, ServerConnection};
use telerelay_leg::tls::Progress;
use telerelay_leg::trust::Identity;
use telerelay_wire::record;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const ROOM: usize = 16 * 1024;

/// One leg's. It is given one record at a time, so that what stands behind SWITCH is left as it is.
pub(crate) struct Outer {
    connection: ServerConnection,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    /// It is never asked again what it has to say.
    is_frozen: bool,
    /// Each record is preceded by a KeyUpdate that asks for one.
    updates: bool,
}

impl Outer {
    /// Takes a connection through its handshake, and says who is there. Whoever is refused reads why.
    pub(crate) async fn accept(
        socket: &mut TcpStream,
        config: Arc<ServerConfig>,
    ) -> io::Result<(Self, Identity)> {
        let mut connection = ServerConnection::new(config).map_err(io::Error::other)?;
        connection.set_buffer_limit(None);
        let mut outer = Self {
            connection,
            incoming: Vec::new(),
            outgoing: Vec::new(),
            is_frozen: false,
            updates: false,
        };
        while outer.connection.is_handshaking() {
            let progress = outer.read_record(|_| {});
            socket.write_all(&outer.outgoing).await?;
            outer.outgoing.clear();
            if matches!(progress?, Progress::Starved)
                && socket.read_buf(outer.read_buffer(ROOM)).await? == 0
            {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let chain = outer.connection.peer_certificates().unwrap_or_default();
        let identity = Identity::of(chain).map_err(io::Error::other)?;
        Ok((outer, identity))
    }

    /// What bytes from the socket are appended to.
    pub(crate) fn read_buffer(&mut self, room: usize) -> &mut Vec<u8> {
        self.incoming.reserve(room);
        &mut self.incoming
    }

    /// Takes one whole record; its plaintext, where it has any, goes to `take`.
    pub(crate) fn read_record(&mut self, take: impl FnOnce(&[u8])) -> io::Result<Progress> {
        let whole = record::scan(&self.incoming, 0).map_err(io::Error::other)?;
        let Some(record) = whole else {
            return Ok(Progress::Starved);
        };
        let record: Vec<u8> = self.incoming.drain(record.range).collect();
        let mut rest = &record[..];
        while !rest.is_empty() {
            self.connection.read_tls(&mut rest)?;
        }
        let taken = self.connection.process_new_packets();
        self.collect()?;
        let state = taken.map_err(io::Error::other)?;
        if state.plaintext_bytes_to_read() > 0 {
            let mut plaintext = vec![0; state.plaintext_bytes_to_read()];
            self.connection.reader().read_exact(&mut plaintext)?;
            take(&plaintext);
        } else if state.peer_has_closed() {
            return Ok(Progress::Closed);
        }
        Ok(Progress::Record)
    }

    /// Whether it asks the other side for new keys from now on, before everything that it says.
    pub(crate) fn update_keys(&mut self, updates: bool) {
        self.updates = updates;
    }

    /// Queues plaintext: one record where it is no longer than one may be.
    pub(crate) fn write(&mut self, plaintext: &[u8]) -> io::Result<()> {
        if self.updates {
            let asked = self.connection.refresh_traffic_keys();
            asked.map_err(io::Error::other)?;
            self.collect()?;
        }
        self.connection.writer().write_all(plaintext)?;
        self.collect()
    }

    pub(crate) fn close_notify(&mut self) -> io::Result<()> {
        self.connection.send_close_notify();
        self.collect()
    }

    fn collect(&mut self) -> io::Result<()> {
        while !self.is_frozen && self.connection.wants_write() {
            self.connection.write_tls(&mut self.outgoing)?;
        }
        Ok(())
    }

    /// SWITCH was queued: nothing comes behind it.
    pub(crate) fn freeze(&mut self) {
        self.is_frozen = true;
    }

    /// What stands behind SWITCH.
    pub(crate) fn take_left_over(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.incoming)
    }

    /// What is to be sent.
    pub(crate) fn outgoing(&self) -> &[u8] {
        &self.outgoing
    }

    /// So much of it was.
    pub(crate) fn sent(&mut self, length: usize) {
        self.outgoing.drain(..length);
    }
}
