//! Scenarios built by hand: in each, something must happen, and no rule may be broken meanwhile.
mod pairing;
mod resuming;
mod streams;
mod switching;
mod told;
