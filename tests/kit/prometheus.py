"""A real Prometheus in a folder and on a port of its own, and what the dashboards ask it."""

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import httpx
import yaml

from grafana.rules.built import AS_BUILT, rule_files
from grafana.rules.pace import Pace

BUILT: Final = Path("grafana", "built")
JOB: Final = "telerelay"
_READY_S: Final = 30.0
_STOP_S: Final = 20.0
_ANSWER_S: Final = 20.0
_LOOK_S: Final = 0.1

_Seen = TypeVar("_Seen")


@dataclass(frozen=True)
class Query:
    """One that a panel asks; `instant`: of this moment, not of a range."""

    legend: str
    expression: str
    instant: bool


@dataclass(frozen=True)
class Place:
    """Where a panel is on the dashboard's grid, from its upper left corner."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class Panel:
    """A panel as it was built: `kind` is Grafana's type, `steps` from which value on it has which colour.

    `nothing` is shown where its queries find nothing. The heading of a row has no queries.
    """

    dashboard: str
    title: str
    kind: str
    unit: str
    place: Place
    steps: Sequence[tuple[float | None, str]]
    queries: Sequence[Query]
    nothing: str


@dataclass(frozen=True)
class Series:
    """What was found under some labels, as (Unix seconds, value)."""

    labels: Mapping[str, str]
    points: Sequence[tuple[float, float]]


class PrometheusError(Exception):
    """It did not start, does not answer, or did not take a query."""


class Prometheus:
    """One that runs at `url`, and what is asked of it."""

    def __init__(self, url: str) -> None:
        self.url = url
        # One for all questions: each client reads the machine's certificate authorities anew.
        self._client = httpx.Client(trust_env=False, timeout=_ANSWER_S)

    def find(self, expression: str) -> list[Series]:
        """What it finds now. Raises PrometheusError."""
        return [
            Series(found["metric"], [_point(found["value"])])
            for found in self._result("query", {"query": expression})
        ]

    def course(self, expression: str, begin: float, end: float, step_s: float) -> list[Series]:
        """What it found between two moments (Unix seconds). Raises PrometheusError."""
        asked = {"query": expression, "start": str(begin), "end": str(end), "step": str(step_s)}
        return [
            Series(found["metric"], [_point(point) for point in found["values"]])
            for found in self._result("query_range", asked)
        ]

    def alerts(self, state: str = "firing") -> set[tuple[str, str]]:
        """Which alerts are in that state: name and instance."""
        found = self._get("alerts", {})["alerts"]
        return {
            (alert["labels"]["alertname"], alert["labels"].get("instance", ""))
            for alert in found
            if alert["state"] == state
        }

    def rules(self) -> list[Mapping[str, Any]]:
        """Every rule with its health."""
        return [rule for group in self._get("rules", {})["groups"] for rule in group["rules"]]

    def _result(self, what: str, asked: Mapping[str, str]) -> list[Any]:
        found: list[Any] = self._get(what, asked)["result"]
        return found

    def _get(self, what: str, asked: Mapping[str, str]) -> dict[str, Any]:
        try:
            answer = self._client.get(f"{self.url}/api/v1/{what}", params=asked).json()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise PrometheusError(f"{self.url} does not answer as a Prometheus does: {error}") from error
        if answer["status"] != "success":
            raise PrometheusError(f"{asked}: {answer['error']}")
        data: dict[str, Any] = answer["data"]
        return data


class PrometheusServer(Prometheus):
    """A process that scrapes `targets` (HOST:PORT) each `scrape_s` seconds, under the rules at `pace`."""

    def __init__(
        self, folder: Path, targets: Sequence[str], *, pace: Pace = AS_BUILT, scrape_s: float = 1
    ) -> None:
        super().__init__("")
        self.folder = folder
        every = f"{round(scrape_s * 1000)}ms"
        self._log = folder / "prometheus.log"
        self._configuration = {
            "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
            "rule_files": list(rule_files()),
            "scrape_configs": [{"job_name": JOB, "static_configs": [{"targets": list(targets)}]}],
        }
        self._rules = rule_files(pace)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        for name, rules in self._rules.items():
            (self.folder / name).write_text(rules)
        configuration = self.folder / "prometheus.yml"
        configuration.write_text(yaml.dump(self._configuration))
        program = shutil.which("prometheus")
        if program is None:
            raise PrometheusError("no program prometheus is installed: on Debian, apt-get install prometheus")
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *(program, f"--config.file={configuration}", "--log.format=json"),
                    *(f"--storage.tsdb.path={self.folder / 'data'}", "--web.listen-address=127.0.0.1:0"),
                ],
                stderr=log,
                # Ctrl-C at a terminal ends whoever started it, which then ends it in order.
                process_group=0,
            )
        try:
            self.url = f"http://{until(self._listens, _READY_S, 'Prometheus listens')}"
            until(self._is_ready, _READY_S, "Prometheus is ready")
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _listens(self) -> str | None:
        assert self._process is not None
        if self._process.poll() is not None:
            raise PrometheusError(f"it ended: {self._log.read_text()}")
        # The last line may be half written.
        for line in self._log.read_text().rpartition("\n")[0].splitlines():
            said = json.loads(line)
            if said.get("msg") == "Listening on":
                return str(said["address"])
        return None

    def _is_ready(self) -> bool | None:
        return self._client.get(f"{self.url}/-/ready").is_success or None

    def _stop(self) -> None:
        self._client.close()
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        finally:
            self._process.kill()
            self._process.wait()


def panels() -> list[Panel]:
    """Every panel of every dashboard, without the headings of rows."""
    return [panel for panel in boards() if panel.queries]


def boards() -> list[Panel]:
    """Every panel of every dashboard, and the headings of rows among them."""
    return [
        _panel(path.stem, panel)
        for path in sorted(BUILT.iterdir())
        for panel in json.loads(path.read_text())["panels"]
    ]


def as_asked(expression: str, window: str) -> str:
    """As Grafana sends it with all nodes chosen."""
    return expression.replace("$__rate_interval", window).replace("$node", ".*")


def promtool(*arguments: str | Path) -> None:
    """Raises AssertionError with what it says."""
    ran = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def until(look: Callable[[], _Seen | None], timeout_s: float, what: str) -> _Seen:
    """What `look` sees as soon as it is not None. Raises PrometheusError."""
    deadline = time.monotonic() + timeout_s
    while (seen := look()) is None:
        if time.monotonic() > deadline:
            raise PrometheusError(f"{timeout_s:g} s passed, and not yet: {what}")
        time.sleep(_LOOK_S)
    return seen


def _panel(dashboard: str, panel: Mapping[str, Any]) -> Panel:
    place = panel["gridPos"]
    # The heading of a row has none.
    defaults = panel.get("fieldConfig", {}).get("defaults", {})
    return Panel(
        dashboard,
        panel["title"],
        panel["type"],
        defaults.get("unit", ""),
        Place(place["x"], place["y"], place["w"], place["h"]),
        [(step["value"], step["color"]) for step in defaults.get("thresholds", {}).get("steps", ())],
        [
            Query(target["legendFormat"], target["expr"], target.get("instant", False))
            for target in panel.get("targets", ())
        ],
        defaults.get("noValue", "nothing yet"),
    )


def _point(written: tuple[float, str]) -> tuple[float, float]:
    return written[0], float(written[1])
