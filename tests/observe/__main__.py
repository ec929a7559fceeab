"""The command: a demo under gentle load, a Prometheus that watches it, and the dashboards as pictures.

    python -m tests.observe                             # until Ctrl-C; draws each minute
    python -m tests.observe --for 120                   # two minutes, then draws and ends
    python -m tests.observe --prometheus http://127.0.0.1:9090 --for 21600
                                                        # starts nothing: draws what that one saw in six hours

Pictures of each dashboard and each panel are in build/observe.
"""

import argparse
import asyncio
import math
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from telerelay.demo.capture import CaptureError
from telerelay.demo.desktop import DesktopError
from telerelay.demo.programs import ProgramError
from telerelay.demo.show import Asked, Shown, show
from tests.bench.driver import Driver, DriverError
from tests.bench.tenant import prepare
from tests.kit.prometheus import Prometheus, PrometheusError, PrometheusServer
from tests.observe.drawing import Look, draw
from tests.observe.grafana import grafana_server

FOLDER: Final = Path("build", "observe")
DRAW_S: Final = 60
"""Between two pictures."""
SCRAPE_S: Final = 2.0
WINDOW: Final = "20s"
"""Over which rates are taken here: ten scrapes."""
SITE_WINDOW: Final = "1m"
"""The same where Prometheus scrapes each 15 s."""
READY_S: Final = 120.0
TEST_S: Final = 86_400
"""So long is an organisation for a test admitted."""


@dataclass(frozen=True)
class Crowd:
    """An organisation that arrives and works: so many hold a session, the others come and go.

    `off`: so many of those who come find their office PC off.
    """

    name: str
    holding: int
    coming: int
    off: int
    per_s: float
    network: str
    is_test: bool = False


CROWDS: Final = (
    Crowd("staff", holding=20, coming=10, off=1, per_s=2, network="127.21"),
    Crowd("test", holding=5, coming=5, off=0, per_s=1, network="127.22", is_test=True),
)
STRANGERS: Final = ("--manner", "garbage", "--count", "2", "--rate", "0.5", "--from", "127.23.0.0/24")
"""The scanners that every port on the Internet sees."""


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="make observe", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--for", dest="seconds", type=float, help="how long; default: until Ctrl-C")
    parser.add_argument("--into", type=Path, default=FOLDER, help="where pictures go (default: %(default)s)")
    parser.add_argument(
        "--prometheus", metavar="URL", help="start nothing, draw what this Prometheus has seen"
    )
    asked = parser.parse_args()
    if asked.seconds is not None and not 0 < asked.seconds < math.inf:
        parser.error(f"--for {asked.seconds:g} is no time to look")
    try:
        if asked.prometheus is not None:
            now = time.time()
            look = Look(now - (asked.seconds or 3_600), now, SITE_WINDOW)
            _draw(Prometheus(asked.prometheus), asked.into, look)
        else:
            asyncio.run(_observe(asked.into, asked.seconds))
    except asyncio.CancelledError:
        _say("everything is down")
        # Without --for that is how it ends.
        sys.exit(0 if asked.seconds is None else 128 + signal.SIGINT)
    except (PrometheusError, ProgramError, DesktopError, CaptureError, DriverError) as error:
        sys.exit(f"make observe: {error}")


async def _observe(folder: Path, seconds: float | None) -> None:
    """Raises CancelledError after Ctrl-C; whatever it raises, everything is down then."""
    me = asyncio.current_task()
    assert me is not None
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, me.cancel)
    async with AsyncExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="telerelay-observe-")))
        shown = await stack.enter_async_context(
            show(Asked(sessions=1, desktop=None, screen=home / "screen.png"), lambda en, _ja: _say(en))
        )
        target = urlsplit(shown.node.metrics_url).netloc
        prometheus = stack.enter_context(PrometheusServer(home / "prometheus", [target], scrape_s=SCRAPE_S))
        _say(f"node        {shown.node.metrics_url}")
        _say(f"Prometheus  {prometheus.url}")
        grafana = stack.enter_context(grafana_server(home / "grafana", prometheus.url))
        _say(f"Grafana     {grafana or 'grafana-server is not installed: see the pictures'}")
        for crowd in CROWDS:
            await stack.enter_async_context(_crowd(shown, home, crowd))
        strangers = ("strangers", "--to", shown.node.address, *STRANGERS, "--for", str(TEST_S))
        stack.enter_context(Driver(*strangers))
        crowds = [f"{crowd.holding + crowd.coming} of {crowd.name}" for crowd in CROWDS]
        _say(f"load        {', '.join(crowds)}, and strangers")
        begin = time.time()
        while seconds is None or time.time() < begin + seconds:
            left = DRAW_S if seconds is None else begin + seconds - time.time()
            await asyncio.sleep(min(DRAW_S, left))
            await asyncio.to_thread(_draw, prometheus, folder, Look(begin, time.time(), WINDOW))


@asynccontextmanager
async def _crowd(shown: Shown, home: Path, crowd: Crowd) -> AsyncIterator[None]:
    folder, everybody = home / crowd.name, crowd.holding + crowd.coming
    control = shown.node.data / "control.sock"
    until = int(time.time()) + TEST_S if crowd.is_test else None
    await asyncio.to_thread(prepare, control, folder, agents=everybody, clients=everybody, until=until)
    async with AsyncExitStack() as stack:

        def start(command: str, network: int, *arguments: str | float) -> Driver:
            place = ("--from", f"{crowd.network}.{network}.0/24")
            return stack.enter_context(Driver(command, folder, *place, *map(str, arguments)))

        agents = start("agents", 1, "--count", everybody - crowd.off)
        await asyncio.to_thread(agents.wait, "ready", READY_S, lambda line: line["percent"] == 100)
        held = start("hold", 2, "--sessions", crowd.holding, "--rate", 5)
        await asyncio.to_thread(held.wait, "ready", READY_S)
        come = ("--first", crowd.holding, "--clients", crowd.coming, "--rate", crowd.per_s)
        start("connect", 3, *come, "--count", 1_000_000)
        yield


def _draw(prometheus: Prometheus, folder: Path, look: Look) -> None:
    for path in draw(prometheus, folder, look):
        _say(f"drawn       {path}")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
