"""The command `telerelay`: one file a command, each parses, calls and prints."""
