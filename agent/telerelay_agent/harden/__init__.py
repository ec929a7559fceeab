"""The command `harden`: this PC's own switches as a second layer behind the guard (docs/HARDENING.md)."""
