"""Events have two forms, core/v1 and events.k8s.io/v1, of the same stored object."""

from minicluster.resources import Object

_PAIRS = {
    "involvedObject": "regarding",
    "message": "note",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
    "reportingComponent": "reportingController",
}


def to_core(item: Object) -> Object:
    names = {new: old for old, new in _PAIRS.items()}
    return {names.get(key, key): value for key, value in item.items()} | {"apiVersion": "v1"}


def from_core(item: Object) -> Object:
    return {_PAIRS.get(key, key): value for key, value in item.items()} | {"apiVersion": "events.k8s.io/v1"}
