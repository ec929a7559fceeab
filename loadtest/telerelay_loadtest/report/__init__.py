"""What a run came to: result.json for machines, and a page with charts for people."""
