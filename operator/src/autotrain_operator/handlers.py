"""What kopf is used for: watching, starting, stopping, and the probe. An event puts a key into the queue, nothing else.

Only `on.event` and activities: timers, daemons and deletion handlers would add finalizers to people's objects, change
handlers would add annotations (docs/adr/0002-level-triggered-kopf.md).
"""

import dataclasses
import itertools
import os
from collections.abc import Iterator
from typing import Any

import kopf

from autotrain_api import names
from autotrain_operator.service import Service

CHILDREN = (
    ("batch", "v1", "jobs"),
    ("apps", "v1", "deployments"),
    ("policy", "v1", "poddisruptionbudgets"),
    ("", "v1", "services"),
    ("", "v1", "configmaps"),
)
"""Kinds that are watched, those with our label only."""
SERVER_TIMEOUT_SECONDS = 290
CLIENT_TIMEOUT_SECONDS = 300
CONNECT_TIMEOUT_SECONDS = 10
REQUEST_TIMEOUT_SECONDS = 30


class Endless:
    """Seconds between the tries of a request, without an end. kopf gives up after the last one, and with it all watches:
    one namespace that is deleted, or a Role taken away, would end the work in every other.
    """

    FIRST = (1, 1, 2, 3, 5, 8, 13, 21)
    LATER = 30

    def __iter__(self) -> Iterator[float]:
        return itertools.chain(self.FIRST, itertools.repeat(self.LATER))


@kopf.on.startup()
async def start(settings: kopf.OperatorSettings, memo: Any, **_: Any) -> None:
    """Set every time limit, and begin to work."""
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.watching.server_timeout = SERVER_TIMEOUT_SECONDS
    settings.watching.client_timeout = CLIENT_TIMEOUT_SECONDS
    settings.watching.connect_timeout = CONNECT_TIMEOUT_SECONDS
    settings.networking.request_timeout = REQUEST_TIMEOUT_SECONDS
    settings.networking.connect_timeout = CONNECT_TIMEOUT_SECONDS
    settings.networking.error_backoffs = Endless()
    for child in CHILDREN:
        settings.watching.label_selectors[child] = names.LABEL_JOB
    await service_of(memo).start()


@kopf.on.cleanup()
async def stop(memo: Any, **_: Any) -> None:
    await service_of(memo).stop()


@kopf.on.login()
def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
    """The pod's service account, or the kubeconfig of a developer."""
    found = kopf.login_with_service_account(**kwargs)
    return kopf.login_with_kubeconfig(**kwargs) if found is None else dataclasses.replace(found, server=api_address())


def api_address() -> str:
    """Where the API is, as every pod is told; kopf would ask the DNS for kubernetes.default.svc."""
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


@kopf.on.probe(id="alive", errors=kopf.ErrorsMode.PERMANENT)
async def alive(memo: Any, **_: Any) -> str:
    """Fails when no look has finished for three periods; kopf's own endpoint would be content with a dead watch."""
    seconds = service_of(memo).seconds_since_life()
    if seconds > (limit := service_of(memo).longest_silence):
        raise kopf.PermanentError(f"nothing was reconciled for {seconds:.0f} s (limit {limit:.0f} s)")
    return f"{seconds:.0f} s since the last look"


@kopf.on.event(names.GROUP, names.VERSION, names.PLURAL)
async def trainingjob_seen(namespace: str | None, name: str | None, memo: Any, **_: Any) -> None:
    if namespace and name:
        service_of(memo).queue.add((namespace, name))


async def child_seen(namespace: str | None, labels: kopf.Labels, memo: Any, **_: Any) -> None:
    if namespace and (name := labels.get(names.LABEL_JOB)):
        service_of(memo).queue.add((namespace, name))


for _kind in CHILDREN:
    kopf.on.event(*_kind)(child_seen)


def service_of(memo: Any) -> Service:
    service: Service = memo.service
    return service
