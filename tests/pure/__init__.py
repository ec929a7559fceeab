"""What needs no process, no socket and no desktop."""
