"""The organisation's commands: init, join, keep, invite, approve, grant, revoke, list."""
