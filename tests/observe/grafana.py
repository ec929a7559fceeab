"""Grafana over the dashboards, where it is installed."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

PROVISIONING: Final = Path("grafana", "provisioning").absolute()
DASHBOARDS: Final = Path("grafana", "built").absolute()
HOME: Final = Path("/usr/share/grafana")
ADDRESS: Final = "127.0.0.1"
PORT: Final = 3000
_STOP_S: Final = 10.0


@contextmanager
def grafana_server(folder: Path, prometheus: str) -> Iterator[str | None]:
    """Where it answers, its data in `folder`; None where it is not installed."""
    program = shutil.which("grafana-server")
    if program is None:
        yield None
        return
    folder.mkdir(parents=True, exist_ok=True)
    environment = {
        **os.environ,
        "GF_PATHS_DATA": str(folder),
        "GF_PATHS_LOGS": str(folder),
        "GF_PATHS_PROVISIONING": str(PROVISIONING),
        "GF_SERVER_HTTP_ADDR": ADDRESS,
        "GF_SERVER_HTTP_PORT": str(PORT),
        "GF_AUTH_ANONYMOUS_ENABLED": "true",
        "TELERELAY_PROMETHEUS": prometheus,
        "TELERELAY_DASHBOARDS": str(DASHBOARDS),
    }
    with (folder / "grafana.log").open("wb") as log:
        process = subprocess.Popen(
            [program, "--homepath", HOME], env=environment, stdout=log, stderr=log, process_group=0
        )
    try:
        yield f"http://{ADDRESS}:{PORT}/dashboards"
    finally:
        process.terminate()
        try:
            process.wait(_STOP_S)
        finally:
            process.kill()
            process.wait()
