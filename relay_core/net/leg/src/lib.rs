//! One TCP connection with its layers: dialling, outer TLS, record-exact reading, accepting.
