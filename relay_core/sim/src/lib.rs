//! Agents, nodes and clients driven against each other on a virtual clock, with mutants that must be caught.
