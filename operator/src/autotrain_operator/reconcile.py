"""One object, from looking at it to having acted: observe -> plan -> write the status -> act. No decisions here."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

from autotrain_api import names
from autotrain_api.names import Reason
from autotrain_api.status import Status
from autotrain_operator import events, plan, status, storage
from autotrain_operator.children import Children
from autotrain_operator.functions import reference_of
from autotrain_operator.kube import ConflictError, Kube, KubeError, Object
from autotrain_operator.ledger import read_status
from autotrain_operator.observe import Observer
from autotrain_operator.pods import Owner
from autotrain_operator.settings import Settings
from autotrain_operator.validate import unforeseen
from autotrain_operator.waiting import Waiting
from autotrain_operator.workqueue import Key

log = logging.getLogger(__name__)

AT_ONCE = 0.05
REFUSED_SECONDS = 10


class Refusal(NamedTuple):
    """What the API server does not take, and when it is asked again."""

    uid: str
    generation: int
    why: Waiting
    again: datetime

    def holds(self, obj: Object, now: datetime) -> bool:
        """Whether asking can wait: an event may come sooner, even that of our own word of it. Another spec cannot."""
        metadata = obj["metadata"]
        same = (metadata["uid"], metadata["generation"]) == (self.uid, self.generation)
        return same and now < self.again and self.why.reason not in (Reason.WAITING_FOR_DELETION, Reason.NAME_CONFLICT)


class Reconciler:
    """What it remembers between passes saves requests; losing it changes nothing else."""

    def __init__(self, kube: Kube, observer: Observer, settings: Settings, clock: Callable[[], datetime]) -> None:
        self._kube = kube
        self._observer = observer
        self._settings = settings
        self._clock = clock
        self._writer = status.Writer(kube)
        self._children = Children(kube)
        self._refusals: dict[Key, dict[str, Refusal]] = {}
        """Of training and of serving: neither waits for the other."""

    async def reconcile(self, key: Key) -> float | None:
        """One pass. Returns the seconds after which to look again; None when an event will tell."""
        obj = await self._kube.find(names.KIND, *key)
        if obj is None or "deletionTimestamp" in obj["metadata"]:
            self.forget(key)
            return None
        step = await self._decide(key, obj)
        before = read_status(obj.get("status"))
        try:
            await self._writer.write(obj, step.status)
        except ConflictError:
            return AT_ONCE  # the object changed while we looked
        await self._tell(obj, before, step.status)
        return await self._act(key, obj, step)

    async def _tell(self, obj: Object, before: Status, after: Status) -> None:
        """Events are news, not state: one that the API does not take is lost, and nothing waits for it."""
        for event in events.transitions(obj, before, after, self._clock()):
            log.info("%s/%s %s", obj["metadata"]["namespace"], obj["metadata"]["name"], event["message"])
            try:
                await self._kube.create(event)
            except KubeError as error:
                log.warning("event not posted: %s", error)

    async def _decide(self, key: Key, obj: Object) -> plan.Step:
        """A plan that cannot be made is told in the status: each pass would raise the same, and say nothing."""
        uid = obj["metadata"]["uid"]
        seen = await self._observer.observe(obj, *looked_for(key, obj))
        known = self._refusals.get(key, {}).values()
        seen.refusal = next((refusal.why for refusal in known if refusal.uid == uid), None)
        try:
            return plan.next_step(obj, seen, self._settings, self._clock())
        except Exception as error:
            log.exception("%s/%s cannot be planned", *key)
            return plan.held(obj, read_status(obj.get("status")), seen, self._clock(), invalid=unforeseen(error))

    async def _act(self, key: Key, obj: Object, step: plan.Step) -> float | None:
        """Carry out the actions; what the API server refuses goes into the status with the next pass."""
        uid, now = obj["metadata"]["uid"], self._clock()
        known, refused, acted = self._refusals.pop(key, {}), dict[str, Refusal](), False
        for part, actions in {"training": step.training, "serving": step.serving}.items():
            if actions and part in known and known[part].holds(obj, now):
                refused[part] = known[part]
                continue
            did, why = await self._children.carry_out(actions, uid)
            acted |= did
            if why is not None:
                again = now + timedelta(seconds=REFUSED_SECONDS)
                refused[part] = Refusal(uid, obj["metadata"]["generation"], why, again)
        if refused:
            self._refusals[key] = refused
        if acted or told(refused) != told(known):
            return AT_ONCE
        waits = [(refusal.again - now).total_seconds() for refusal in refused.values()]
        return min([*waits, *([] if step.requeue_after is None else [step.requeue_after])], default=None)

    def forget(self, key: Key) -> None:
        """The object is gone."""
        self._refusals.pop(key, None)
        self._children.forget(key)
        self._writer.forget(key)


def told(refused: dict[str, Refusal]) -> dict[str, Waiting]:
    """What the status says of them."""
    return {part: refusal.why for part, refusal in refused.items()}


def looked_for(key: Key, obj: Object) -> tuple[str, str]:
    """Names of the models' claim and of the functions' ConfigMap; "" where there is none, or where none can be told."""
    try:
        spec = plan.readable_spec(obj)
        claim = storage.models_of(Owner(*key, obj["metadata"]["uid"]), spec).claim if spec else None
        functions = reference_of(spec)
    except Exception:
        log.exception("%s/%s: its claim and ConfigMap cannot be told", *key)
        return "", ""
    return claim or "", functions.name if functions else ""
