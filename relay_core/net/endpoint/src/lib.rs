//! What agent and client share: inner TLS, the session and the local socket.
