"""What agent and client share in Python: credentials, enrolment, console."""
