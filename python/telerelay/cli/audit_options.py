"""What the auditor's commands have in common: times, and the CA that checkpoints are checked with."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from cryptography import x509

from telerelay_endpoint.certificates import CertificateRefusedError, parse_chain, verify_root
from telerelay_endpoint.errors import TelerelayError

_FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"]

FromOption = Annotated[
    datetime | None,
    typer.Option(
        "--from", metavar="TIME", formats=_FORMATS, help="From this time on, this machine's or +ZONE."
    ),
]
ToOption = Annotated[
    datetime | None,
    typer.Option("--to", metavar="TIME", formats=_FORMATS, help="Up to this time, itself not included."),
]
CaOption = Annotated[
    Path | None,
    typer.Option("--ca", metavar="FILE", help="The cluster's CA, PEM; default: DATA/cluster/ca.pem."),
]


def milliseconds(time: datetime) -> int:
    """Unix milliseconds."""
    return int(time.astimezone().timestamp() * 1000)


def read_ca(file: Path) -> x509.Certificate:
    """The cluster's CA. Raises TelerelayError(CERTIFICATE)."""
    try:
        ca = parse_chain(file.read_bytes())[-1]
        verify_root(ca)
    except OSError as error:
        raise TelerelayError("CERTIFICATE", f"{file}: {error.strerror}") from error
    except CertificateRefusedError as error:
        raise TelerelayError("CERTIFICATE", f"{file}: {error}") from error
    return ca
