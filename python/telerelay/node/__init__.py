"""The node's service: what `telerelay serve` runs, its bridge to the Rust core and its API."""
