"""An independent reading of the protocol: frames and documents decoded from PROTOCOL.md alone."""
