"""Who asked to connect where, when, and how it ended: spool, records, closing after a crash."""
