"""One command that shows a real desktop through a relay, and the capture client that proves it."""
