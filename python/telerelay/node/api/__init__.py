"""The node's HTTP API (PROTOCOL.md §11): who may ask what, and the bodies of requests and answers."""
