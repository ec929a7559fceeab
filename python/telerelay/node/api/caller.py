"""Who asks: the verified identity of the connection, and whether its organisation still lets it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import Depends, Request

from telerelay.node.administration import Administration
from telerelay.node.core import Identity
from telerelay_core import parse_computer_id
from telerelay_endpoint.certificates import Role
from telerelay_endpoint.errors import TelerelayError


class NotAllowedError(TelerelayError):
    """The certificate is not for this request."""

    status: Final = HTTPStatus.FORBIDDEN


class MissingError(TelerelayError):
    """There is nothing of that name."""

    status: Final = HTTPStatus.NOT_FOUND


class ConflictError(TelerelayError):
    """There is another thing of that name."""

    status: Final = HTTPStatus.CONFLICT


@dataclass(frozen=True)
class Caller:
    """An endpoint or administrator. `organisation`, `device`: 32 bytes; `computer`: 10, an agent's only."""

    organisation: bytes
    device: bytes
    role: Role
    computer: bytes | None


def administration(request: Request) -> Administration:
    """What the application acts on."""
    acting: Administration = request.app.state.administration
    return acting


def address(request: Request) -> str:
    """Where the connection comes from, as the listener saw it."""
    seen: str = request.state.address
    return seen


def caller(*roles: Role) -> Callable[[Request], Awaitable[Caller]]:
    """A dependency that lets these roles pass. It raises REQUEST, SUSPENDED, REVOKED."""

    async def check(request: Request) -> Caller:
        identity = _identity(request)
        if identity is None or identity.role not in roles:
            shown = " or ".join(roles)
            raise NotAllowedError("REQUEST", f"this needs a certificate of role {shown}")
        snapshot = await administration(request).snapshots.load(identity.organisation)
        if snapshot is None:
            raise NotAllowedError("REQUEST", "the organisation is not admitted")
        if snapshot.suspended:
            raise TelerelayError("SUSPENDED")
        if identity.device in snapshot.revoked:
            raise TelerelayError("REVOKED")
        computer = None if identity.computer is None else parse_computer_id(identity.computer)
        return Caller(identity.organisation, identity.device, Role(identity.role), computer)

    return check


def _identity(request: Request) -> Identity | None:
    verified: Identity | None = request.state.identity
    return verified


Acting = Annotated[Administration, Depends(administration)]
Agent = Annotated[Caller, Depends(caller(Role.AGENT))]
Client = Annotated[Caller, Depends(caller(Role.CLIENT))]
Admin = Annotated[Caller, Depends(caller(Role.ADMIN))]
Keeper = Annotated[Caller, Depends(caller(Role.KEEPER))]
AdminOrKeeper = Annotated[Caller, Depends(caller(Role.ADMIN, Role.KEEPER))]
