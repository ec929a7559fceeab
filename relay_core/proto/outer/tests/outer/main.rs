//! The outer roles as their drivers see them: what goes in, which commands come out.
mod agent;
mod bench;
mod client;
mod direct;
mod node_claimed;
mod node_ending;
mod node_hello;
mod node_instances;
mod node_pairing;
mod node_properties;
mod node_stop;
mod node_usage;
mod office;
mod show;
mod switch;
mod whole;
