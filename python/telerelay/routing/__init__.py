"""Which node and which agent a connection request goes to, decided once per CONNECT."""
