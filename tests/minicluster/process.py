"""A minicluster in a process of its own, for programs that are not asyncio or must not share its fate."""

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

STOP_SECONDS = 15


@dataclass(frozen=True)
class ClusterProcess:
    kubeconfig: Path
    url: str
    process: "subprocess.Popen[str]"


@contextlib.contextmanager
def running(folder: Path, *arguments: str) -> Iterator[ClusterProcess]:
    """Started and ready; stopped at the end, and ended by the kernel when this process dies before."""
    with started(folder, "--with-parent", *arguments) as cluster:
        try:
            yield cluster
        finally:
            cluster.process.send_signal(signal.SIGTERM)
            cluster.process.wait(STOP_SECONDS)


@contextlib.contextmanager
def started(folder: Path, *arguments: str, log: TextIO | None = None) -> Iterator[ClusterProcess]:
    """Started and ready; it goes on when the block ends. With `log`, it does not hold on to our stderr."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "minicluster", "--dir", str(folder), *arguments]
    tests = Path(__file__).parents[1]
    process = subprocess.Popen(
        command,
        cwd=tests,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        start_new_session=True,
    )
    try:
        yield _ready(process)
    finally:
        if process.stdout is not None:
            process.stdout.close()


def _ready(process: "subprocess.Popen[str]") -> ClusterProcess:
    line = process.stdout.readline() if process.stdout is not None else ""
    if not line:
        raise RuntimeError(f"minicluster did not start, exit code {process.wait(STOP_SECONDS)}; its errors are above")
    told = json.loads(line)
    return ClusterProcess(Path(told["kubeconfig"]), told["url"], process)
