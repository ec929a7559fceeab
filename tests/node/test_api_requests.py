"""Whatever is asked of a running node's API, by whomever: it answers, with no fault of its own.

What there is to ask, the node's own /openapi.json says. `make fuzz` asks much more often.
"""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from telerelay_core import format_computer_id
from telerelay_endpoint.certificates import Role
from telerelay_endpoint.errors import catalogue
from telerelay_endpoint.lines import to_base64url
from tests.kit.node import NodeProcess
from tests.kit.tenant import Tenant

ENDS_THE_NODE: Final = "/v1/node/drain"
OPERATOR: Final = "operator"


@dataclass(frozen=True)
class Operation:
    """Something that can be asked. `media`: type of the body, where there is one; `fields` of a JSON one."""

    method: str
    path: str
    parameters: tuple[tuple[str, str], ...]
    media: str | None
    fields: tuple[str, ...]


@dataclass(frozen=True)
class Setting:
    """A node, who may ask it, what there is to ask, and words that mean something to it."""

    node: NodeProcess
    clients: Mapping[str, httpx.Client]
    operations: tuple[Operation, ...]
    words: tuple[str, ...]
    documents: tuple[bytes, ...]


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setting]:
    with NodeProcess(tmp_path_factory.mktemp("n")) as node, ExitStack() as open_clients:
        tenant = Tenant(now=int(time.time()))
        node.admit(tenant)
        node.publish(tenant)
        clients = {
            str(role): open_clients.enter_context(node.api(tenant, role))._client for role in (None, *Role)
        }
        socket = httpx.HTTPTransport(uds=str(node.data / "control.sock"))
        clients[OPERATOR] = open_clients.enter_context(
            httpx.Client(transport=socket, base_url="http://node", timeout=20)
        )
        schema = clients[OPERATOR].get("/openapi.json").json()
        words = (
            to_base64url(tenant.id),
            tenant.id.hex(),
            format_computer_id(tenant.computer),
            to_base64url(bytes(16)),
            "computer",
            "revocations",
            "agent",
            "7KQ2-M9XB",
        )
        documents = (tenant.document(2), tenant.revocations(), tenant.stamp())
        yield Setting(node, clients, tuple(operations(schema)), words, documents)


def operations(schema: Mapping[str, Any]) -> Iterator[Operation]:
    """Everything that the API's own description names."""
    for path, methods in schema["paths"].items():
        if path.startswith(ENDS_THE_NODE):
            continue
        for method, described in methods.items():
            parameters = tuple((one["in"], one["name"]) for one in described.get("parameters", ()))
            bodies = described.get("requestBody", {}).get("content", {})
            media = next(iter(bodies), None)
            reference = bodies.get(media, {}).get("schema", {}).get("$ref", "").rpartition("/")[2]
            properties = schema["components"]["schemas"].get(reference, {}).get("properties", {})
            yield Operation(method.upper(), path, parameters, media, tuple(properties))


def texts(words: tuple[str, ...]) -> st.SearchStrategy[str]:
    return st.one_of(st.sampled_from(words), st.text(max_size=40), st.just("A" * 5_000))


def values(words: tuple[str, ...]) -> st.SearchStrategy[Any]:
    """Any JSON, and the words that mean something."""
    numbers = st.one_of(st.integers(), st.sampled_from([0, -1, 2**53, 2**63, 2**64]))
    leaves = st.one_of(st.none(), st.booleans(), numbers, st.floats(), texts(words))
    return st.recursive(
        leaves, lambda of: st.lists(of, max_size=3) | st.dictionaries(st.text(max_size=5), of, max_size=3)
    )


@st.composite
def requests(draw: st.DrawFn, setting: Setting) -> tuple[str, str, str, dict[str, Any]]:
    """Who asks, how, where, and what goes with it."""
    operation = draw(st.sampled_from(setting.operations))
    path, query, headers = operation.path, {}, {}
    for place, name in operation.parameters:
        text = draw(texts(setting.words) | st.integers(-1, 2**64).map(str))
        if place == "path":
            path = path.replace(f"{{{name}}}", quote(text, safe=""))
        elif place == "query":
            # A request that may wait would wait: what is looked at here is what is answered.
            query[name] = "0" if name == "wait" else text
        else:
            headers[name] = quote(text)
    body = b""
    if operation.media is not None:
        headers["Content-Type"] = draw(st.sampled_from([operation.media, "text/plain", "application/json"]))
        body = draw(bodies(operation, setting))
    who = draw(st.sampled_from(fitting(operation.path)) | st.sampled_from(sorted(setting.clients)))
    return who, operation.method, path, {"params": query, "headers": headers, "content": body}


def fitting(path: str) -> tuple[str, ...]:
    """Whose request it can be: everybody else is turned away before anything is read."""
    if path.startswith("/v1/node"):
        return (OPERATOR,)
    return (Role.ADMIN, Role.KEEPER) if path.startswith("/v1/org") else (Role.AGENT, Role.CLIENT)


def bodies(operation: Operation, setting: Setting) -> st.SearchStrategy[bytes]:
    any_value = values(setting.words)
    shaped = st.fixed_dictionaries({}, optional=dict.fromkeys(operation.fields, any_value))
    return st.one_of(
        shaped.map(json.dumps).map(str.encode),
        any_value.map(json.dumps).map(str.encode),
        st.binary(max_size=64),
        # Below what a node takes from nobody known, or it would end the connection without an answer.
        st.sampled_from([*setting.documents, b"[" * 20_000, b'{"a":' * 10_000]),
    )


def test_every_request_is_answered(setting: Setting) -> None:
    @settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
    @given(requests(setting))
    def answered(asked: tuple[str, str, str, dict[str, Any]]) -> None:
        who, method, path, rest = asked
        answer = setting.clients[who].request(method, path, **rest)
        assert answer.status_code < 500, answer.text
        if not answer.is_success:
            refusal = answer.json()
            assert refusal["code"] in catalogue()
            assert refusal["sentence"]["en"]

    answered()
    assert "Traceback" not in setting.node.log.read_text()


def test_everything_that_the_api_describes_is_asked(setting: Setting) -> None:
    asked = {operation.path for operation in setting.operations}
    assert {"/v1/enrol", "/v1/org/invites", "/v1/node/organisations", "/v1/documents/{kind}"} <= asked
    with_bodies = [operation for operation in setting.operations if operation.media]
    assert all(operation.fields for operation in with_bodies if operation.media == "application/json")
