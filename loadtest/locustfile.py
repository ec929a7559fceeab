"""What locust is given: `locust -f loadtest/locustfile.py --scenario town-300 --prepared FOLDER`."""

from telerelay_loadtest.locusts import Employee, Morning

__all__ = ["Employee", "Morning"]
