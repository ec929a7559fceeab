"""The commands: what they take from the command line. Each imports what it needs when it is called."""
