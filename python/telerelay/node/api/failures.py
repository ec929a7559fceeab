"""How a request fails: every refusal has its code, its sentence in both languages and a fitting status."""

import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from telerelay.node.api.fields import Body, Number
from telerelay_endpoint.errors import TelerelayError, catalogue
from telerelay_endpoint.limits import LIMITS

_STATUS: Final[Mapping[str, HTTPStatus]] = {
    "REQUEST": HTTPStatus.BAD_REQUEST,
    "INVITE": HTTPStatus.FORBIDDEN,
    "ID_TAKEN": HTTPStatus.CONFLICT,
    "DOCUMENT": HTTPStatus.UNPROCESSABLE_CONTENT
    if hasattr(HTTPStatus, "UNPROCESSABLE_CONTENT")
    else HTTPStatus.UNPROCESSABLE_ENTITY,
    "POLICY_STALE": HTTPStatus.CONFLICT,
    "SUSPENDED": HTTPStatus.FORBIDDEN,
    "REVOKED": HTTPStatus.FORBIDDEN,
    "STORE": HTTPStatus.SERVICE_UNAVAILABLE,
    "AUDIT_UNAVAILABLE": HTTPStatus.SERVICE_UNAVAILABLE,
    "TRY_LATER": HTTPStatus.SERVICE_UNAVAILABLE,
    "INTERNAL": HTTPStatus.INTERNAL_SERVER_ERROR,
}
_RETRY_S: Final[Mapping[str, int | None]] = {"never": None, "now": 0, "after": LIMITS["api_retry_s"]}
"""Seconds; what a caller is told where the error itself names none."""


class Sentence(Body):
    """What happened, for a person."""

    en: str
    ja: str


class Failure(Body):
    """The body of every answer that is not a success. `retry` in seconds: null = do not, 0 = now."""

    code: str
    sentence: Sentence
    retry: Number | None
    server_time: Number
    detail: str


class Refusals:
    """How many requests were refused, by code. Every code stands there from the start."""

    def __init__(self) -> None:
        self._counts = dict.fromkeys(catalogue(), 0)

    def statistics(self) -> Mapping[str, int]:
        """One number for each code."""
        return {f"api_refused.{code}": count for code, count in self._counts.items()}

    def answer(self, error: TelerelayError, status: int | None = None) -> JSONResponse:
        """The answer that tells of `error`, counted."""
        self._counts[error.code] += 1
        return _answer(error, status)


def _answer(error: TelerelayError, status: int | None) -> JSONResponse:
    retry = error.retry_after_s if error.retry_after_s is not None else _RETRY_S[error.retry]
    failure = Failure(
        code=error.code,
        sentence=Sentence(en=error.sentence("en"), ja=error.sentence("ja")),
        retry=retry,
        server_time=int(time.time()),
        detail=error.detail,
    )
    fallback = HTTPStatus.BAD_REQUEST if error.who in ("local", "remote") else HTTPStatus.SERVICE_UNAVAILABLE
    return JSONResponse(failure.model_dump(), status or _STATUS.get(error.code, fallback))


def register(app: FastAPI, refusals: Refusals) -> None:
    """Let `app` answer every failure in this form, and count it."""
    answer = refusals.answer

    @app.exception_handler(TelerelayError)
    async def _named(_request: Request, error: TelerelayError) -> JSONResponse:
        return answer(error, getattr(error, "status", None))

    @app.exception_handler(RequestValidationError)
    async def _unreadable(_request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return answer(TelerelayError("REQUEST", f"{where}: {first['msg'].removeprefix('Value error, ')}"))

    @app.exception_handler(HTTPException)
    async def _unknown(_request: Request, error: HTTPException) -> JSONResponse:
        return answer(TelerelayError("REQUEST", error.detail), error.status_code)

    @app.exception_handler(Exception)
    async def _broken(request: Request, error: Exception) -> JSONResponse:
        # Whatever breaks inside a request ends that request, and the node stays.
        structlog.get_logger("api").error("a request failed", method=request.method, exc_info=error)
        return answer(TelerelayError("INTERNAL", type(error).__name__))


Responses = dict[int | str, dict[str, Any]]
FAILURES: Final[Responses] = {"default": {"model": Failure, "description": "The failure, by its code"}}
