"""The numbers of a rolling update: how far each ReplicaSet may be scaled now. Pure."""

import hashlib
import json
import math

from minicluster.api import Object

SAFE = "bcdfghjklmnpqrstvwxz2456789"


def template_hash(template: Object) -> str:
    digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).digest()
    return "".join(SAFE[byte % len(SAFE)] for byte in digest[:10])


def bounds(deployment: Object) -> tuple[int, int]:
    """(maxSurge, maxUnavailable) in pods."""
    spec = deployment["spec"]
    rolling = (spec.get("strategy") or {}).get("rollingUpdate") or {}
    wanted = spec.get("replicas", 1)
    surge = _amount(rolling.get("maxSurge", "25%"), wanted, math.ceil)
    unavailable = _amount(rolling.get("maxUnavailable", "25%"), wanted, math.floor)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return surge, min(unavailable, wanted)


def _amount(value: int | str, of: int, rounded) -> int:  # type: ignore[no-untyped-def]
    if isinstance(value, str) and value.endswith("%"):
        return int(rounded(int(value[:-1]) * of / 100))
    return int(value)


def size(replica_set: Object) -> int:
    return int(replica_set["spec"].get("replicas", 1))


def counted(replica_set: Object, field: str) -> int:
    return int((replica_set.get("status") or {}).get(field) or 0)


def new_size(deployment: Object, new: Object, old: list[Object]) -> int:
    """What the new ReplicaSet grows or shrinks to."""
    wanted = int(deployment["spec"].get("replicas", 1))
    if size(new) >= wanted:
        return wanted
    surge, _ = bounds(deployment)
    room = wanted + surge - size(new) - sum(map(size, old))
    return size(new) + max(0, min(room, wanted - size(new)))


def old_sizes(deployment: Object, new: Object, old: list[Object]) -> list[int]:
    """What the old ReplicaSets, oldest first, shrink to: first pods that do not work, then as availability allows."""
    least = deployment["spec"].get("replicas", 1) - bounds(deployment)[1]
    sizes = [size(replica_set) for replica_set in old]
    missing = size(new) - counted(new, "availableReplicas")
    spare = sum(sizes) + size(new) - least - missing
    if spare <= 0:
        return sizes
    for index, replica_set in enumerate(old):
        broken = max(0, sizes[index] - counted(replica_set, "availableReplicas"))
        gone = min(broken, spare)
        sizes[index] -= gone
        spare -= gone
    available = sum(counted(replica_set, "availableReplicas") for replica_set in [new, *old])
    spare = min(spare, available - least)
    for index in range(len(sizes)):
        gone = max(0, min(sizes[index], spare))
        sizes[index] -= gone
        spare -= gone
    return sizes
