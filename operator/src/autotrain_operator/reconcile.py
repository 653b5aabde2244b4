"""One object, from looking at it to having acted: observe -> plan -> write the status -> act. No decisions here."""

import logging
from collections.abc import Callable
from datetime import datetime

from autotrain_api import names
from autotrain_api.status import Status
from autotrain_operator import events, plan, status, storage
from autotrain_operator.children import Children
from autotrain_operator.functions import reference_of
from autotrain_operator.kube import ConflictError, Kube, KubeError, Object
from autotrain_operator.ledger import read_status
from autotrain_operator.observe import Observer
from autotrain_operator.pods import Owner
from autotrain_operator.settings import Settings
from autotrain_operator.waiting import Waiting
from autotrain_operator.workqueue import Key

log = logging.getLogger(__name__)

AT_ONCE = 0.05
REFUSED_SECONDS = 10


class Reconciler:
    """What it remembers between passes saves requests; losing it changes nothing else."""

    def __init__(self, kube: Kube, observer: Observer, settings: Settings, clock: Callable[[], datetime]) -> None:
        self._kube = kube
        self._observer = observer
        self._settings = settings
        self._clock = clock
        self._writer = status.Writer(kube)
        self._children = Children(kube)
        self._refusals: dict[Key, tuple[str, Waiting]] = {}

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
        uid = obj["metadata"]["uid"]
        spec = plan.readable_spec(obj)
        claim = storage.models_of(Owner(*key, uid), spec).claim if spec else None
        functions = reference_of(spec)
        seen = await self._observer.observe(obj, claim or "", functions.name if functions else "")
        refused_uid, refusal = self._refusals.get(key, ("", None))
        seen.refusal = refusal if refused_uid == uid else None
        return plan.next_step(obj, seen, self._settings, self._clock())

    async def _act(self, key: Key, obj: Object, step: plan.Step) -> float | None:
        """Carry out the actions; what the API server refuses goes into the status with the next pass."""
        acted, refusal = await self._children.carry_out(step.actions, obj["metadata"]["uid"])
        known = self._refusals.pop(key, None)
        if refusal is not None:
            self._refusals[key] = (obj["metadata"]["uid"], refusal)
            return REFUSED_SECONDS if known is not None and known[1] == refusal else AT_ONCE
        return AT_ONCE if acted or known is not None else step.requeue_after

    def forget(self, key: Key) -> None:
        """The object is gone."""
        self._refusals.pop(key, None)
        self._children.forget(key)
        self._writer.forget(key)
