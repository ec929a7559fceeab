//! The outer roles of node, agent and client, pairing and SWITCH, as pure state machines.
#![forbid(unsafe_code)]
