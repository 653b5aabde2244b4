"""Arrays that may be larger than memory: what takes too much of it lies in a file without a name."""

import errno
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

SCORES_SHARE = 0.1
"""Share of the container's memory that scores of many pictures may take."""


def room(shape: tuple[int, ...], dtype: DTypeLike, share: float, folder: Path | None = None) -> NDArray[Any]:
    """Place for an array, in memory or in a file of `folder`; what is not written takes no room.

    Raises OSError when the disk is too small: a process that writes what is mapped on a full one is killed.
    """
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    if size <= share * memory_limit():
        return np.empty(shape, dtype)
    place = folder or Path(tempfile.gettempdir())
    if (free := shutil.disk_usage(place).free) < size:
        raise OSError(
            errno.ENOSPC, f"{size / 1e9:.1f} GB are needed for pictures, {free / 1e9:.1f} GB are free", str(place)
        )
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".array") as file:
        return np.memmap(file, dtype, "w+", shape=shape)


def gathered(batches: Iterable[NDArray[Any]], count: int, share: float = SCORES_SHARE) -> NDArray[Any]:
    """All `count` rows of `batches` in one array. Raises ValueError when there are none."""
    found, start = None, 0
    for batch in batches:
        if found is None:
            found = room((count, *batch.shape[1:]), batch.dtype, share)
        found[start : start + len(batch)] = batch
        start += len(batch)
    if found is None or start != count:
        raise ValueError(f"{start} rows where {count} are wanted")
    return found


def memory_limit() -> int:
    """Bytes this container may use: its cgroup's limit, or what the machine has free."""
    free = 2**62
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            free = int(line.split()[1]) * 1024
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            return min(free, int(Path(path).read_text(encoding="ascii")))
        except (OSError, ValueError):
            continue
    return free
