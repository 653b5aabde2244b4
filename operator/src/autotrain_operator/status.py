"""Writing `status`: only what changed, progress at most every ten seconds, never over a newer object."""

import time
from typing import Any

from autotrain_api import names
from autotrain_api.status import Status
from autotrain_operator.kube import Kube, Object
from autotrain_operator.workqueue import Key

PROGRESS_SECONDS = 10


class Writer:
    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self._progress_written: dict[Key, float] = {}

    async def write(self, obj: Object, status: Status) -> None:
        """Bring the stored status to `status`. Raises ConflictError when the object changed since it was read."""
        metadata = obj["metadata"]
        key = (metadata["namespace"], metadata["name"])
        change = difference(obj.get("status", {}), status.to_dict())
        if not change or (set(change) == {"progress"} and self._is_early(key)):
            return
        if "progress" in change:
            self._progress_written[key] = time.monotonic()
        body = {"metadata": {"resourceVersion": metadata["resourceVersion"]}, "status": change}
        written = await self._kube.merge(names.KIND, *key, body, "status")
        metadata["resourceVersion"] = written["metadata"]["resourceVersion"]

    def _is_early(self, key: Key) -> bool:
        return time.monotonic() - self._progress_written.get(key, -PROGRESS_SECONDS) < PROGRESS_SECONDS

    def forget(self, key: Key) -> None:
        self._progress_written.pop(key, None)


def difference(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The JSON merge patch that makes `new` of `old`."""
    change: dict[str, Any] = {name: None for name in old if name not in new}
    for name, value in new.items():
        there = old.get(name)
        if isinstance(value, dict) and isinstance(there, dict):
            if below := difference(there, value):
                change[name] = below
        elif name not in old or there != value:
            change[name] = value
    return change
