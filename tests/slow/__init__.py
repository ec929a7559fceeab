"""Tests that wait out a timer of minutes: `make slow`, not `make test`."""
