"""An API that answers badly: conflicts, overload, errors, lost answers, watches that break or lag. The end is the same."""

import pytest

from cluster.operating import Operator
from cluster.world import World
from minicluster.faults import Fault, conflict, internal, too_many_requests

pytestmark = [pytest.mark.cluster, pytest.mark.minicluster]
WRITTEN = ("jobs", "configmaps", "persistentvolumeclaims", "deployments", "services", "poddisruptionbudgets")

FAULTS = {
    "the status was changed by another": [Fault(("patch",), "trainingjobs/status", error=conflict(), times=4)],
    "too many requests": [Fault(("create", "patch"), name, error=too_many_requests(), times=1) for name in WRITTEN[:3]],
    "errors while writing": [Fault(("create", "patch"), name, error=internal(), times=1) for name in WRITTEN[3:]],
    "errors while looking": [
        Fault(("get", "list"), name, error=internal(), skip=skip, times=1)
        for name in ("jobs", "deployments", "configmaps")
        for skip in (1, 5)
    ],
    "answers of writes are lost": [Fault(("create", "patch"), name, lose_answer=True, times=1) for name in WRITTEN],
    "answers of status writes are lost": [Fault(("patch",), "trainingjobs/status", lose_answer=True, times=3)],
    "answers of events are lost": [Fault(("create",), "events", lose_answer=True, times=3)],
    "watches break": [Fault(("watch",), drop_watch_after=1)],
    "watches lag": [Fault(("watch",), watch_delay_seconds=0.7)],
    "everything is slow": [Fault(delay_seconds=0.03)],
}


@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS.keys())
async def test_the_end_is_the_same_when(world: World, operator: Operator, faults: list[Fault]):
    for fault in faults:
        world.mini.faults.add(fault)
    await world.apply()
    first = await world.ready()
    await world.edit(training={"seed": 2})
    second = await world.ready()
    met = [fault.met for fault in faults]
    world.mini.faults.clear()

    assert all(met)
    assert await world.names_of("Job") == sorted(f"flowers-{one.revision}-1" for one in (first, second))
    assert [(one.number, one.result) for one in second.attempts] == [(1, "Succeeded"), (1, "Succeeded")]
    assert all(record.crashes == 0 for record in second.revisions)
    assert (await world.ask())["revision"] == second.revision
    await world.delete()
    await world.gone()
