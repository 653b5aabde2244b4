"""The room in which a container runs: which machine folder stands at which path, and how its process is started.

Where the machine allows private mount namespaces (root, or an ordinary user with user namespaces), volumes are mounted at
their paths: launcher.py. Elsewhere paths are rewritten: every mount path in arguments, variables and mounted text becomes
the folder behind it, which is enough for programs that get their paths that way.
"""

import asyncio
import contextlib
import functools
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

LAUNCH = (sys.executable, "-I", "-S", str(Path(__file__).with_name("launcher.py")))
REPOSITORY = Path(__file__).parents[3]
ANY_ADDRESS = re.compile(r"(?<![\d.])0\.0\.0\.0(?![\d.])")


@dataclass(frozen=True)
class Mount:
    source: Path
    target: str
    read_only: bool = False


@dataclass(frozen=True)
class Start:
    """A process that is to be started in a room."""

    program: str
    order: str
    env: dict[str, str]

    async def launch(self, output: int | BinaryIO) -> asyncio.subprocess.Process:
        """Running, and signals reach it. A process group of its own, which ends when this process ends."""
        ready, told = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *LAUNCH,
                str(told),
                self.order,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                pass_fds=(told,),
            )
        finally:
            os.close(told)
        try:
            await asyncio.to_thread(os.read, ready, 1)
        except asyncio.CancelledError:
            kill_group(process.pid)
            raise
        finally:
            os.close(ready)
        return process


def kill_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


class Room:
    def __init__(self, folder: Path, mounts: Sequence[Mount], address: str, isolate: bool) -> None:
        self._root = folder / "root"
        self._root.mkdir(parents=True, exist_ok=True)
        self._mounts = sorted(mounts, key=lambda mount: -len(mount.target))
        self._address = address
        self._isolate = isolate

    def start(self, argv: Sequence[str], env: Mapping[str, str], cwd: str) -> Start:
        inside = [self.inside(text) for text in argv]
        order = {
            "isolate": self._isolate,
            "root": str(self._root),
            "mounts": [(str(mount.source), mount.target, mount.read_only) for mount in self._mounts],
            "keep": kept_folders(),
            "argv": inside,
            "cwd": self._path(cwd) if cwd else "/",
        }
        rewritten = {name: self.inside(value) for name, value in env.items()}
        return Start(inside[0] if inside else "", json.dumps(order), rewritten)

    def inside(self, text: str) -> str:
        """As the process must see it: 0.0.0.0 is the pod's own address, and nobody else's."""
        return self._path(ANY_ADDRESS.sub(self._address, text))

    def _path(self, text: str) -> str:
        return text if self._isolate else rewrite(text, self._mounts)


def rewrite(text: str, mounts: Sequence[Mount]) -> str:
    """Mount paths that start a path in `text`, as the folders behind them. Programs stay where they are, also in /tmp."""
    if not mounts:
        return text
    targets = {folder: folder for folder in kept_folders()} | {mount.target: str(mount.source) for mount in mounts}
    paths = "|".join(re.escape(target) for target in sorted(targets, key=len, reverse=True))
    return re.sub(rf"(?<![\w./-])(file://)?({paths})(?![\w.-])", lambda m: (m[1] or "") + targets[m[2]], text)


def kept_folders() -> list[str]:
    """What a program of this checkout is made of, so that no volume at /tmp or /home hides it."""
    return sorted({sys.prefix, sys.base_prefix, str(REPOSITORY)})


@functools.cache
def isolation_works() -> bool:
    """Whether this machine lets us make private mount namespaces; tried once."""
    with tempfile.TemporaryDirectory() as folder:
        room = Room(Path(folder), [Mount(Path(folder), "/mnt/minicluster")], "127.0.0.1", True)
        start = room.start(["/bin/sh", "-c", "test -d /mnt/minicluster && test $$ = 1"], {}, "/")
        return subprocess.run([*LAUNCH, "1", start.order], capture_output=True, check=False).returncode == 0
