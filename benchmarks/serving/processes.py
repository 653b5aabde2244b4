"""A competitor as a process: started, waited for, asked, measured, ended with everything that it started."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from benchmarks.serving.lineup import Competitor, Setting
from benchmarks.serving.load import BOUNDARY, TAIL, part

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 120.0
POLL_SECONDS = 0.004
STOP_SECONDS = 8.0
LOG_TAIL = 600
CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY.decode()}"


class CompetitorError(RuntimeError):
    """A competitor that did not start or answer, with the end of its log."""


def packages_of(cache: Path) -> Path:
    """LitServe, beside what .venv holds."""
    return cache / "packages"


class Place(NamedTuple):
    """Where things lie, and what all competitors share."""

    cache: Path
    bundle: Path
    data: Path
    pictures: Path
    precision: str


class Running:
    """A competitor from start to end. `first` is the time from exec to the first 200 with a real picture, in seconds."""

    def __init__(self, competitor: Competitor, setting: Setting, place: Place, picture: bytes) -> None:
        self.port = free_port()
        self.log = place.cache / "logs" / f"{competitor.name}.log"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        environment = environment_of(setting, place, self.port)
        command = competitor.command(setting, self.port, place.bundle)
        with self.log.open("wb") as log:
            started = time.perf_counter()
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
        try:
            self.first = self._wait(picture) - started
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _wait(self, picture: bytes) -> float:
        """When the first 200 was there. Raises CompetitorError."""
        deadline, last = time.perf_counter() + PATIENCE_SECONDS, "no connection"
        while time.perf_counter() < deadline:
            if self.process.poll() is not None:
                raise CompetitorError(f"ended with {self.process.returncode}: {self._tail()}")
            try:
                status, body = ask(self.port, picture)
                if status == 200:
                    return time.perf_counter()
                last = f"{status} {body[:200]!r}"
            except (OSError, http.client.HTTPException):
                pass
            time.sleep(POLL_SECONDS)
        raise CompetitorError(f"no answer within {PATIENCE_SECONDS:.0f} s, last: {last}; {self._tail()}")

    def _tail(self) -> str:
        return self.log.read_text(errors="replace")[-LOG_TAIL:]

    def classes(self, pictures: list[bytes]) -> list[str]:
        """The class it names for each picture. Raises CompetitorError."""
        found = []
        for picture in pictures:
            status, body = ask(self.port, picture)
            if status != 200:
                raise CompetitorError(f"{status} for a picture: {body[:200]!r}; {self._tail()}")
            found.append(str(json.loads(body).get("prediction", "")))
        return found

    def peak_memory(self) -> float:
        """Megabytes (10^6 bytes): the sum of VmHWM over the process and all that descend from it."""
        return sum(high_water_mark(pid) for pid in family(self.process.pid)) / 1e6

    def stop(self) -> None:
        """SIGTERM, then SIGKILL, to its whole session."""
        with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait(STOP_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def environment_of(setting: Setting, place: Place, port: int) -> dict[str, str]:
    """What a competitor finds in its environment; LitServe lies in the cache, behind what .venv holds already."""
    path = [str(ROOT), str(packages_of(place.cache)), *filter(None, [os.environ.get("PYTHONPATH")])]
    shared = {
        "PYTHONPATH": os.pathsep.join(path),
        "BENCH_BUNDLE": str(place.bundle),
        "BENCH_DATA": str(place.data),
        "BENCH_UPLOADS": str(place.cache / "uploads"),
        "BENCH_PORT": str(port),
        "BENCH_PRECISION": place.precision,
        "AUTOTRAIN_LOG_LEVEL": "WARNING",
    }
    return os.environ | shared | {f"BENCH_{name.upper()}": str(value) for name, value in setting.items()}


def ask(port: int, picture: bytes) -> tuple[int, bytes]:
    """Status and body for one picture, on a connection of its own. Raises OSError, http.client.HTTPException."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("POST", "/validate", part(picture, "first.jpg") + TAIL, {"Content-Type": CONTENT_TYPE})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def run_json(module: str, *arguments: str, environment: dict[str, str] | None = None) -> Any:
    """The JSON that `python -m benchmarks.serving.<module>` prints. Raises CompetitorError."""
    command = [sys.executable, "-m", f"benchmarks.serving.{module}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT)
    if done.returncode:
        raise CompetitorError(f"{module} ended with {done.returncode}: {done.stderr[-LOG_TAIL:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def family(pid: int) -> list[int]:
    """The process and its descendants."""
    parents: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents.setdefault(int(words[1]), []).append(int(status.parent.name))
    found, waiting = [], [pid]
    while waiting:
        found.append(waiting.pop())
        waiting += parents.get(found[-1], [])
    return found


def high_water_mark(pid: int) -> int:
    """The most bytes that were resident at once; 0 for a process that is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((1_024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)
