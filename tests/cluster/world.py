"""One namespace of a cluster in which an operator works: what tests do there, what they wait for, what they ask.

Everything goes through the API, so that it works on any cluster; what only minicluster can do is behind `mini`.
"""

import asyncio
import copy
import importlib.metadata
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from kubernetes import aio

from autotrain_api import names
from autotrain_api.status import Status
from autotrain_operator.kube import Call, ClientTransport, Kube, path_of
from autotrain_operator.settings import Settings
from minicluster.cluster import MiniCluster

Object = dict[str, Any]
ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 30
POLL_SECONDS = 0.03
CHILDREN = ("Job", "Pod", "ConfigMap", "Deployment", "Service", "PodDisruptionBudget")
"""What has to be gone when the TrainingJob is."""
VERSION = importlib.metadata.version("autotrain-operator")
IMAGES = "autotrain"
"""Prefix of the stand-ins' images; with --kubeconfig, --images names another."""


def settings(prefix: str = IMAGES) -> Settings:
    """Of an operator whose jobs run the stand-ins that `make images IMAGES="stand-in-trainer stand-in-server"` builds."""
    trainer, server = (f"{prefix}/stand-in-{part}:{VERSION}" for part in ("trainer", "server"))
    return Settings(trainer_image=trainer, server_image=server, gpus_per_node=0, fs_group=1000)


SETTINGS = settings()
NAMESPACES = "/api/v1/namespaces"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def trainingjob(namespace: str, name: str = "flowers", **sections: Any) -> Object:
    """A small valid object; `sections` replace or add parts of its spec."""
    spec: Object = {
        "task": "Classification",
        "data": {"uri": "https://example.org/flowers.tgz"},
        "model": {"backbone": "resnet18"},
    }
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {"name": name, "namespace": namespace},
        "spec": merged(spec, sections),
    }


def merged(old: Any, new: Any) -> Any:
    """`new` over `old`, as a JSON merge patch."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return copy.deepcopy(new)
    return {**old, **{key: merged(old.get(key), value) for key, value in new.items()}}


def playing(script: str) -> Object:
    """spec.data for what the stand-in trainer is to play."""
    return {"version": script}


class World:
    def __init__(
        self,
        client: aio.client.ApiClient,
        namespace: str,
        mini: MiniCluster | None = None,
        operator_settings: Settings = SETTINGS,
    ) -> None:
        self.settings = operator_settings
        self.client = client
        self.transport = ClientTransport(client)
        self.kube = Kube(self.transport)
        self.namespace = namespace
        self._mini = mini

    @property
    def mini(self) -> MiniCluster:
        assert self._mini is not None, "this test needs minicluster; mark it so"
        return self._mini

    async def begin(self) -> None:
        """The CRD and the namespace."""
        crd = yaml.load((ROOT / "crds/trainingjobs.autotrain.dev.yaml").read_text(), yaml.CSafeLoader)
        query = (("fieldManager", "tests"), ("force", "true"))
        await self.call(f"{CRDS}/{crd['metadata']['name']}", "PATCH", crd, "application/apply-patch+yaml", query)
        await self.call(NAMESPACES, "POST", {"metadata": {"name": self.namespace}})
        await self.until(self._is_served, "TrainingJobs in the API")

    async def _is_served(self) -> bool:
        try:
            await self.kube.list_all(names.KIND, self.namespace)
        except Exception:  # noqa: BLE001 - whatever it is, it is not served yet
            return False
        return True

    async def end(self) -> None:
        await self.call(f"{NAMESPACES}/{self.namespace}", "DELETE", {})

    async def call(
        self,
        path: str,
        method: str = "GET",
        body: Object | None = None,
        content_type: str = "application/json",
        query: tuple[tuple[str, str], ...] = (),
    ) -> bytes:
        return await self.transport.request(Call(method, path, query, body, content_type))

    # --- what people do

    async def apply(self, name: str = "flowers", **sections: Any) -> Object:
        return await self.kube.create(trainingjob(self.namespace, name, **sections))

    async def edit(self, name: str = "flowers", **sections: Any) -> Object:
        """A merge patch of the spec."""
        return await self.kube.merge(names.KIND, self.namespace, name, {"spec": sections})

    async def annotate(self, name: str = "flowers", **annotations: str) -> None:
        texts = {f"{names.GROUP}/{key}": value for key, value in annotations.items()}
        await self.kube.merge(names.KIND, self.namespace, name, {"metadata": {"annotations": texts}})

    async def delete(self, kind: str = names.KIND, name: str = "flowers") -> None:
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        await self.call(path_of(kind, self.namespace, name), "DELETE", options)

    async def disrupt(self, pod: Object) -> None:
        """As a drained node does: DisruptionTarget, then deletion with grace."""
        name = pod["metadata"]["name"]
        target = {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager"}
        target["lastTransitionTime"] = pod["metadata"]["creationTimestamp"]
        conditions = [*pod["status"].get("conditions", []), target]
        await self.kube.merge("Pod", self.namespace, name, {"status": {"conditions": conditions}}, "status")
        await self.delete("Pod", name)

    # --- what is there

    async def get(self, kind: str = names.KIND, name: str = "flowers") -> Object:
        found = await self.kube.find(kind, self.namespace, name)
        assert found is not None, f"no {kind} {name}"
        return found

    async def every(self, kind: str, name: str = "flowers") -> list[Object]:
        """Children of that kind."""
        return await self.kube.list_all(kind, self.namespace, {names.LABEL_JOB: name})

    async def names_of(self, kind: str, name: str = "flowers") -> list[str]:
        return sorted(child["metadata"]["name"] for child in await self.every(kind, name))

    async def children(self, name: str = "flowers") -> list[str]:
        """Kind and name of every child that has to go with its owner."""
        return [f"{kind}/{child}" for kind in CHILDREN for child in await self.names_of(kind, name)]

    async def pods(self, component: str = names.COMPONENT_TRAINING, name: str = "flowers") -> list[Object]:
        labels = {names.LABEL_JOB: name, names.LABEL_COMPONENT: component}
        return await self.kube.list_all("Pod", self.namespace, labels)

    async def events(self, name: str = "flowers") -> list[str]:
        """What the operator said of an object: Type=Status and reason."""
        uid = (await self.get(name=name))["metadata"]["uid"]
        found = await self.kube.events(self.namespace, uid)
        return [f"{event['message'].partition(':')[0]} {event['reason']}" for event in found]

    async def row(self, name: str = "flowers") -> Object:
        """What `kubectl get -o wide` shows: column -> cell."""
        method, url, headers, body, _ = await self.client.param_serialize(
            "GET",
            path_of(names.KIND, self.namespace, name),
            header_params={"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"},
            auth_settings=["BearerToken"],
        )
        answer = await self.client.call_api(method, url, headers, body)
        table = json.loads(await answer.read())
        columns = [column["name"] for column in table["columnDefinitions"]]
        return dict(zip(columns, table["rows"][0]["cells"], strict=True))

    async def status(self, name: str = "flowers") -> Status:
        return Status.model_validate((await self.get(name=name)).get("status", {}))

    async def ask(self, name: str = "flowers") -> Object:
        """What a serving pod says on /validate."""
        url = f"http://{self.mini.address(self.namespace, name)}/validate"
        async with aiohttp.ClientSession() as session, session.post(url, data=b"x") as answer:
            assert answer.status == 200, await answer.text()
            told: Object = json.loads(await answer.read())
            return told

    # --- what tests wait for

    async def until(self, holds: Callable[[], Any], what: str) -> Any:
        """What `holds` returns, once it is true."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not (found := await holds()):  # noqa: ASYNC110 - by asking, as on any cluster
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError as error:
            raise AssertionError(f"no {what} within {PATIENCE_SECONDS} s\n{await self._tell()}") from error
        return found

    async def _tell(self) -> str:
        """Everything that could explain it."""
        jobs = await self.kube.list_all(names.KIND, self.namespace)
        told = [yaml.safe_dump(job.get("status", {})) for job in jobs]
        for kind in CHILDREN:
            children = await self.kube.list_all(kind, self.namespace)
            told += [f"{kind}/{one['metadata']['name']} {yaml.safe_dump(one.get('status', {}))}" for one in children]
        return "\n".join(told)

    async def condition(self, condition: str, status: str = "True", reason: str = "", name: str = "flowers") -> Status:
        """The status, once the condition of the present generation is so."""

        async def holds() -> Status | None:
            obj = await self.get(name=name)
            found = Status.model_validate(obj.get("status", {}))
            for one in found.conditions:
                if (one.type, one.status) == (condition, status) and reason in ("", one.reason):
                    return found if one.observed_generation == obj["metadata"]["generation"] else None
            return None

        found: Status = await self.until(holds, f"{condition}={status} {reason} of {name}")
        return found

    async def ready(self, name: str = "flowers") -> Status:
        return await self.condition("Ready", name=name)

    async def pod_runs(self, component: str = names.COMPONENT_TRAINING, other_than: Iterable[str] = ()) -> Object:
        """A running pod, of another uid than those."""

        async def holds() -> Object | None:
            for pod in await self.pods(component):
                running = any("running" in one["state"] for one in pod["status"].get("containerStatuses", []))
                if running and "deletionTimestamp" not in pod["metadata"] and pod["metadata"]["uid"] not in other_than:
                    return pod
            return None

        found: Object = await self.until(holds, f"running {component} pod")
        return found

    async def gone(self, name: str = "flowers") -> None:
        """No child is left."""

        async def holds() -> bool:
            return not await self.children(name)

        await self.until(holds, f"end of the children of {name}")

    def models(self, name: str = "flowers") -> Path:
        """The folder behind the models' claim."""
        return self.mini.volume(self.namespace, f"{name}-models")

    def bundle(self, revision: str, name: str = "flowers") -> Path:
        return self.models(name) / self.namespace / name / revision

    def finish_training(self, name: str = "flowers") -> None:
        """The stand-in trainer that waits goes on."""
        (self.models(name) / "finish").touch()


def said(status: Status, condition: str) -> tuple[str, str, str]:
    """Status, reason and message."""
    one = next(one for one in status.conditions if one.type == condition)
    return one.status, one.reason, one.message
