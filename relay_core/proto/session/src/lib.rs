//! Offsets, window, replay and resume: the session layer inside inner TLS, as pure state machines.
#![forbid(unsafe_code)]
