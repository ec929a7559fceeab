"""What needs something to break: processes killed, packets dropped, hostile nodes."""
