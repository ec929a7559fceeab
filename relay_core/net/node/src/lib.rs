//! The node's sockets: listeners, admission, pairing tasks and the queue that asks Python.
