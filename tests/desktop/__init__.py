"""What needs a real desktop."""
