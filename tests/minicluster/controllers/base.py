"""The frame of every controller: changes become keys, a key is looked at until it is as it should be."""

import asyncio
import datetime
import logging
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from minicluster.api import Api, ApiError, Change, Object
from minicluster.store import now

Key = tuple[str, str]
"""(namespace, name)"""

FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 0.05, 5.0

logger = logging.getLogger(__name__)


class Controller(Protocol):
    @property
    def kinds(self) -> tuple[str, ...]:
        """What it watches."""
        ...

    def keys(self, change: Change) -> Iterable[Key]:
        """What has to be looked at after a change."""
        ...

    def reconcile(self, key: Key) -> float | None:
        """Bring one object where it should be; the seconds until it must be looked at again, if time matters."""
        ...


async def run(api: Api, controller: Controller) -> None:
    """Until cancelled."""
    loop = asyncio.get_running_loop()
    retries: dict[Key, int] = {}
    timers: dict[Key, asyncio.TimerHandle] = {}

    def look(key: Key) -> None:
        if key in timers:
            timers.pop(key).cancel()
        try:
            again = controller.reconcile(key)
            retries.pop(key, None)
        except ApiError as error:
            count = retries[key] = retries.get(key, 0) + 1
            again = min(LAST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2**count)
            logger.info("%s %s: %s", type(controller).__name__, key, error)
        if again is not None:
            timers[key] = loop.call_later(max(0.01, again), look, key)

    changes = api.subscribe(*controller.kinds)
    try:
        async for change in changes:
            for key in set(controller.keys(change)):
                look(key)
    finally:
        changes.close()
        for timer in timers.values():
            timer.cancel()


def key_of(item: Object) -> Key:
    return item["metadata"].get("namespace", ""), item["metadata"]["name"]


def owner_of(item: Object) -> Object | None:
    """The ownerReference of the controller."""
    return next((owner for owner in item["metadata"].get("ownerReferences") or () if owner.get("controller")), None)


def own_or_owners_key(change: Change, kind: str) -> list[Key]:
    """The object itself if it is of `kind`, else its controller if that is."""
    item = change.object
    if item["kind"] == kind:
        return [key_of(item)]
    owner = owner_of(item)
    return [(item["metadata"]["namespace"], owner["name"])] if owner and owner["kind"] == kind else []


def owned_by(api: Api, owner: Object, kind: str) -> list[Object]:
    """Oldest first."""
    items = api.list(kind, owner["metadata"]["namespace"])
    mine = [item for item in items if (owner_of(item) or {}).get("uid") == owner["metadata"]["uid"]]
    return sorted(mine, key=lambda item: (item["metadata"]["creationTimestamp"], item["metadata"]["name"]))


def reference(owner: Object) -> Object:
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def from_template(owner: Object, template: Object, labels: dict[str, str], **metadata: Any) -> Object:
    """A pod of a workload."""
    given = template.get("metadata") or {}
    return {
        "metadata": {
            "namespace": owner["metadata"]["namespace"],
            "labels": {**(given.get("labels") or {}), **labels},
            "annotations": dict(given.get("annotations") or {}),
            "ownerReferences": [reference(owner)],
            **metadata,
        },
        "spec": template["spec"],
    }


def deleting(item: Object) -> bool:
    return bool(item["metadata"].get("deletionTimestamp"))


def phase(pod: Object) -> str:
    return str((pod.get("status") or {}).get("phase", "Pending"))


def finished(pod: Object) -> bool:
    return phase(pod) in ("Succeeded", "Failed")


def is_true(item: Object, condition: str) -> bool:
    return (find_condition(item, condition) or {}).get("status") == "True"


def is_ready(pod: Object) -> bool:
    return is_true(pod, "Ready")


def find_condition(item: Object, kind: str) -> Object | None:
    conditions = (item.get("status") or {}).get("conditions") or ()
    return next((condition for condition in conditions if condition["type"] == kind), None)


def with_condition(
    conditions: list[Object], kind: str, status: str, reason: str = "", message: str = "", **more: str
) -> list[Object]:
    """The list with this condition; its transition time stays while its status does."""
    old = next((condition for condition in conditions if condition["type"] == kind), None)
    since = old.get("lastTransitionTime", now()) if old and old["status"] == status else now()
    new = {"type": kind, "status": status, "lastTransitionTime": since, **more}
    new |= {key: value for key, value in (("reason", reason), ("message", message)) if value}
    if old is None:
        return [*conditions, new]
    return [new if condition is old else condition for condition in conditions]


def seconds_since(stamp: str) -> float:
    then = datetime.datetime.fromisoformat(stamp)
    return (datetime.datetime.now(datetime.UTC) - then).total_seconds()


def write_status(api: Api, item: Object, status: Object) -> None:
    """Fields of None go; nothing is written where nothing changed."""
    old = item.get("status") or {}
    changed = {key: value for key, value in status.items() if old.get(key) != value}
    if changed:
        api.patch(
            item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"], {"status": changed}, "status"
        )


def record(api: Api, about: Object, reason: str, message: str, component: str, warning: bool = False) -> None:
    """An Event, counted up where the same one is there already."""
    namespace = about["metadata"].get("namespace") or "default"
    told = ("Warning" if warning else "Normal", reason, message)
    for event in api.list("Event", namespace):
        same = event["involvedObject"].get("uid") == about["metadata"]["uid"]
        if same and (event["type"], event["reason"], event["message"]) == told:
            again = {"count": event.get("count", 1) + 1, "lastTimestamp": now()}
            api.patch("Event", namespace, event["metadata"]["name"], again)
            return
    body = {
        "metadata": {"generateName": f"{about['metadata']['name']}.", "namespace": namespace},
        "involvedObject": {
            "apiVersion": about["apiVersion"],
            "kind": about["kind"],
            "name": about["metadata"]["name"],
            "namespace": about["metadata"].get("namespace"),
            "uid": about["metadata"]["uid"],
        },
        **dict(zip(("type", "reason", "message"), told, strict=True)),
        "source": {"component": component},
        "reportingComponent": component,
        "firstTimestamp": now(),
        "lastTimestamp": now(),
        "count": 1,
    }
    attempt(lambda: api.create("Event", body))


def attempt(write: Callable[[], Any]) -> bool:
    """Do what another may have made impossible in the meantime; whether it was possible."""
    try:
        write()
    except ApiError as error:
        logger.info("%s", error)
        return False
    return True
