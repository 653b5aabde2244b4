"""kubectl in a namespace of its own, with the digits, and what the end-to-end tests ask most."""

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from minicluster.cluster import service_address
from minicluster.fixtures import Cluster

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "examples"))

import pictures  # noqa: E402 - the examples are scripts, not a package

RELEASE = "e2e"
SYSTEM = "autotrain-e2e-system"
NAMESPACE = "autotrain-e2e"
CRD = "trainingjobs.autotrain.dev"
SECONDS = 240


@dataclass(frozen=True)
class Lab:
    """kubectl in the tests' namespace, and what tests ask most."""

    cluster: Cluster
    held_out: list[pictures.Picture]

    def kubectl(self, *arguments: str, **options: Any) -> str:
        return self.cluster.kubectl("--namespace", NAMESPACE, *arguments, **options).stdout

    def get(self, *arguments: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.kubectl("get", *arguments, "-o", "json"))
        return found

    def apply(self, name: str, **sections: Any) -> None:
        """A TrainingJob on the digits: the example's, made short, with `sections` replaced or added to."""
        body = yaml.safe_load((ROOT / "examples/digits/trainingjob.yaml").read_text())
        body["metadata"]["name"] = name
        spec = body["spec"]
        spec["training"] = {"epochs": 2, "freezeEpochs": 0, "batchSize": 64, "learningRate": 0.004}
        del spec["gate"]
        for section, value in sections.items():
            spec[section] = {**spec.get(section, {}), **value} if isinstance(value, dict) else value
        self.kubectl("apply", "-f", "-", input=json.dumps(body))

    def status(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.get("trainingjob", name).get("status", {})
        return found

    def condition(self, name: str, kind: str) -> dict[str, Any]:
        conditions = self.status(name).get("conditions", [])
        found: dict[str, Any] = next((one for one in conditions if one["type"] == kind), {})
        return found

    def wait(self, name: str, kind: str, status: str = "True") -> None:
        """Until a condition of the object's present generation has this status."""

        def there() -> bool:
            job = self.get("trainingjob", name)
            conditions = job.get("status", {}).get("conditions", [])
            return any(
                (one["type"], one["status"]) == (kind, status)
                and one["observedGeneration"] == job["metadata"]["generation"]
                for one in conditions
            )

        self.until(there, f"{kind}={status} of {name}", lambda: json.dumps(self.status(name), indent=1))

    def until(self, holds: Callable[[], bool], what: str, tell: Callable[[], str] = str) -> None:
        end = time.monotonic() + SECONDS
        while not holds():
            assert time.monotonic() < end, f"no {what} within {SECONDS} s\n{tell()}"
            time.sleep(0.2)

    def jobs(self, name: str) -> list[str]:
        labels = f"autotrain.dev/trainingjob={name}"
        return [item["metadata"]["name"] for item in self.get("jobs", "-l", labels)["items"]]

    @contextlib.contextmanager
    def address(self, name: str) -> Iterator[str]:
        """URL of a Service; on another cluster than minicluster through kubectl port-forward."""
        service = self.get("service", name)
        if service["spec"]["clusterIP"].startswith("127."):
            yield f"http://{service_address(service)}"
            return
        with self.cluster.started("--namespace", NAMESPACE, "port-forward", f"service/{name}", ":80") as forward:
            assert forward.stdout is not None
            yield f"http://{forward.stdout.readline().split()[2]}"

    def ask(self, client: httpx.Client, url: str, picture: pictures.Picture) -> httpx.Response:
        return client.post(f"{url}/validate", files={"img": ("digit.png", picture.png(), "image/png")})
