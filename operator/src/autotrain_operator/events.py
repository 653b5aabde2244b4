"""Events about an object: one for each transition of a condition that a person would want to know of. Pure."""

from collections.abc import Iterator
from datetime import datetime

from autotrain_api import names
from autotrain_api.names import Condition, Reason
from autotrain_api.status import ConditionStatus, Status
from autotrain_operator.kube import Object
from autotrain_operator.ledger import timestamp

MESSAGE_LENGTH = 1_000
QUIET = frozenset({Reason.WAITING, Reason.VALID, Reason.PROGRESSING, Reason.PENDING})
ROUTINE = frozenset(
    {
        Reason.TRAINING,
        Reason.ROLLING_OUT,
        Reason.REPLICAS_MISSING,
        Reason.SERVING_DISABLED,
        Reason.SUSPENDED,
        Reason.WAITING_FOR_DELETION,
    }
)
"""Why something may be not so, or not yet, without anything being wrong."""


def transitions(obj: Object, before: Status, after: Status, now: datetime) -> Iterator[Object]:
    """Events for the conditions whose status or reason changed; what is refused blocks several, and is told once."""
    known = {condition.type: (condition.status, condition.reason) for condition in before.conditions}
    refused = set()
    for condition in after.conditions:
        if known.get(condition.type) == (condition.status, condition.reason) or not _is_news(condition):
            continue
        if condition.status == "Unknown" and condition.reason in refused:
            continue
        refused.add(condition.reason)
        yield event(obj, condition, now)


def _is_news(condition: ConditionStatus) -> bool:
    """Ready, Available and Stalled repeat what other conditions say, but for their good or bad end."""
    if condition.reason in QUIET:
        return False
    if condition.status == "Unknown":
        return condition.type in (Condition.TRAINED, Condition.ROLLED_OUT)
    if condition.type in (Condition.READY, Condition.AVAILABLE, Condition.STALLED):
        return condition.status == "True" and condition.type != Condition.AVAILABLE
    return True


def event(obj: Object, condition: ConditionStatus, now: datetime) -> Object:
    """The core/v1 Event about one condition."""
    metadata = obj["metadata"]
    bad = condition.type == Condition.STALLED or (condition.status != "True" and condition.reason not in ROUTINE)
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": f"{metadata['name']}.", "namespace": metadata["namespace"]},
        "involvedObject": {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"],
        },
        "type": "Warning" if bad else "Normal",
        "reason": condition.reason,
        "message": f"{condition.type}={condition.status}: {condition.message}"[:MESSAGE_LENGTH],
        "source": {"component": names.MANAGER},
        "reportingComponent": names.MANAGER,
        "reportingInstance": names.MANAGER,
        "firstTimestamp": timestamp(now),
        "lastTimestamp": timestamp(now),
        "count": 1,
    }
