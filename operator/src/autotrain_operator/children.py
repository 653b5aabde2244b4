"""Carrying out actions on children, each with its guard against touching what is not ours. No decisions here."""

from collections.abc import Iterable
from typing import NamedTuple

from autotrain_api import names
from autotrain_api.names import Reason
from autotrain_operator import observe, pods, waiting
from autotrain_operator.context import Action, Amend, Apply, Create, Delete
from autotrain_operator.kube import ConflictError, Kube, NotFoundError, Object, RefusedError
from autotrain_operator.waiting import Waiting
from autotrain_operator.workqueue import Key

Place = tuple[str, str, str]
"""(kind, namespace, name)"""


class Applied(NamedTuple):
    """What is known of a child since it was last written."""

    uid: str
    digest: str
    version: str


def place_of(child: Object) -> Place:
    return child["kind"], child["metadata"]["namespace"], child["metadata"]["name"]


def version_of(child: Object) -> str:
    """Changes when somebody changes what we asked for: the generation, where the kind counts one."""
    metadata = child["metadata"]
    return str(metadata.get("generation") or metadata["resourceVersion"])


class Children:
    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self._applied: dict[Key, dict[Place, Applied]] = {}

    async def carry_out(self, actions: Iterable[Action], owner_uid: str) -> tuple[bool, Waiting | None]:
        """Whether anything was done, and what was refused; an action after a refused one is not tried."""
        acted = False
        for action in actions:
            try:
                acted |= await self._carry_out(action)
            except ConflictError as error:
                return True, await self._whose(action, owner_uid, error)
            except RefusedError as error:
                return acted, waiting.refused(str(error))
            except NotFoundError:
                acted = True  # gone in the meantime: look again
        return acted, None

    async def _carry_out(self, action: Action) -> bool:
        match action:
            case Create(body):
                self._remember(body, await self._kube.create(body))
            case Apply(body, live):
                return await self._apply(body, live)
            case Delete(child, propagation):
                await self._kube.delete(*place_of(child), child["metadata"]["uid"], propagation)
            case Amend(job, spec):
                await self._kube.merge(*place_of(job), {"spec": spec})
        return True

    async def _apply(self, body: Object, live: Object) -> bool:
        known = self._applied.get(_key(body), {}).get(place_of(body))
        if known == Applied(live["metadata"]["uid"], pods.digest(body), version_of(live)):
            return False
        if fields := adopted(live):
            place = {"resourceVersion": live["metadata"]["resourceVersion"], "managedFields": fields}
            await self._kube.merge(*place_of(body), {"metadata": place})
        after = await self._kube.apply(body)
        self._remember(body, after)
        return bool(after["metadata"]["resourceVersion"] != live["metadata"]["resourceVersion"])

    def _remember(self, body: Object, after: Object) -> None:
        known = Applied(after["metadata"]["uid"], pods.digest(body), version_of(after))
        self._applied.setdefault(_key(body), {})[place_of(body)] = known

    async def _whose(self, action: Action, owner_uid: str, error: ConflictError) -> Waiting | None:
        """After a 409: None when the child is ours and a new look is enough, or else what stands in the way."""
        if not isinstance(action, Create):
            return None
        live = await self._kube.find(*place_of(action.body))
        if live is None or observe.owner_uid(live) in (owner_uid, _controller(action.body)):
            return None
        what = f"{live['kind']} {live['metadata']['name']}"
        if observe.owner_kind(live) == names.KIND:
            return Waiting(Reason.WAITING_FOR_DELETION, f"{what} of an earlier object is being deleted", "")
        return Waiting(Reason.NAME_CONFLICT, f"{what} belongs to somebody else ({error})", "Rename this TrainingJob.")

    def forget(self, key: Key) -> None:
        self._applied.pop(key, None)


def _key(body: Object) -> Key:
    return body["metadata"]["namespace"], body["metadata"]["labels"][names.LABEL_JOB]


def _controller(body: Object) -> str | None:
    return observe.owner_uid(body)


def adopted(live: Object) -> list[Object] | None:
    """managedFields in which what we created by POST is what we applied, so that later applies can take fields away.

    The API server notes a POST as operation Update, and a field with an Update owner outlives every apply; see
    https://kubernetes.io/docs/reference/using-api/server-side-apply/#transferring-ownership
    """
    entries: list[Object] = live["metadata"].get("managedFields", [])
    ours = [entry for entry in entries if entry["manager"] == names.MANAGER and not entry.get("subresource")]
    if not any(entry["operation"] == "Update" for entry in ours) or len(ours) > 1:
        return None
    return [{**entry, "operation": "Apply"} if entry in ours else entry for entry in entries]
