"""What needs a real node on loopback."""
