"""The record that a request's acceptance leaves, as benchmarks write it by the thousand."""

from telerelay.audit import records
from telerelay.audit.records import Record


def start_record(number: int) -> Record:
    """START of one attempt."""
    return records.start(
        attempt="7KQ2-M9XB",
        path=number.to_bytes(16, "big"),
        organisation=bytes(32),
        client=bytes(32),
        agent=bytes(32),
        computer="ABCD-EFGH-JKMN-PQRS-T",
        service="rfb",
        address="192.0.2.1:40000",
        program="telerelay-client/0.1.0",
    )
