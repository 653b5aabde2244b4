"""Where the demo runs: a minicluster of its own, or the cluster of your kubeconfig. kubectl and helm are the real ones."""

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minicluster import process
from minicluster.binaries import binaries
from minicluster.cluster import service_address

ROOT = Path(__file__).parents[1]
DEMO = ROOT / ".demo"
PROGRAMS = ROOT / ".cache/bin"
CHART = ROOT / "charts/autotrain-operator"
NAMESPACE = "autotrain-demo"
SYSTEM = "autotrain-system"
CRD = "trainingjobs.autotrain.dev"
OWN = {"app.kubernetes.io/part-of": "autotrain-demo"}
"""Label of the demo's namespace: without it, a namespace of that name is somebody else's."""
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


class DemoError(Exception):
    """The demo cannot go on; the message says why."""


@dataclass(frozen=True)
class Cluster:
    """kubectl and helm against one cluster, in the demo's namespace."""

    environment: dict[str, str]

    def command(self, program: str, *arguments: str, namespace: str = NAMESPACE) -> list[str]:
        return [str(binaries(PROGRAMS)[program]), "--namespace", namespace, *arguments]

    def run(self, program: str, *arguments: str, namespace: str = NAMESPACE, text: str = "") -> str:
        """Its output; it reads `text`. Raises DemoError with its words."""
        command = self.command(program, *arguments, namespace=namespace)
        ran = subprocess.run(command, env=self.environment, input=text, capture_output=True, text=True)
        if ran.returncode:
            raise DemoError(f"{program} {' '.join(arguments)}\n{ran.stderr.strip()}")
        return ran.stdout

    def kubectl(self, *arguments: str, namespace: str = NAMESPACE, text: str = "") -> str:
        return self.run("kubectl", *arguments, namespace=namespace, text=text)

    @contextlib.contextmanager
    def running(self, *arguments: str, output: Any = subprocess.PIPE) -> Iterator["subprocess.Popen[str]"]:
        """A kubectl that goes on until the block ends."""
        command = self.command("kubectl", *arguments)
        with subprocess.Popen(command, env=self.environment, stdout=output, text=True) as program:
            try:
                yield program
            finally:
                program.terminate()

    def context(self) -> str:
        return self.kubectl("config", "current-context").strip()

    def get(self, *arguments: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.kubectl("get", *arguments, "-o", "json"))
        return found

    def operator(self) -> str:
        """Namespace of an operator that watches the demo's, empty when there is none."""
        found = self.get("deployments", "--all-namespaces", "-l", f"app.kubernetes.io/name={CHART.name}")["items"]
        return next((item["metadata"]["namespace"] for item in found if watches(item, NAMESPACE)), "")

    def install_operator(self, *values: str, namespace: str = SYSTEM) -> None:
        """helm install, until the operator is ready."""
        command = ["upgrade", "--install", "autotrain", str(CHART), "--create-namespace"]
        self.run("helm", *command, *(f"--set={value}" for value in values), namespace=namespace)
        self.kubectl("rollout", "status", "deployment/autotrain-operator", "--timeout=180s", namespace=namespace)

    def make_namespace(self) -> None:
        """The demo's namespace, which takes in no pod that is not `restricted`."""
        metadata = {"name": NAMESPACE, "labels": OWN | RESTRICTED}
        self.kubectl(
            "create", "-f", "-", text=json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        )

    @contextlib.contextmanager
    def address(self, service: str) -> Iterator[str]:
        """URL of a Service on this machine: in minicluster, its address is one of the loopback."""
        yield f"http://{service_address(self.get('service', service)).removesuffix(':80')}"

    def page_hint(self, service: str, url: str) -> str:
        """How a person comes to the page of what was kept."""
        return f"{url}/"

    def stop_hint(self) -> str:
        """How a person ends what was kept."""
        raise NotImplementedError


@dataclass(frozen=True)
class OwnCluster(Cluster):
    """A minicluster. Its processes end with the demo, or are left running."""

    pid: int

    def stop_hint(self) -> str:
        return f"kill {self.pid}   (meanwhile: export KUBECONFIG={self.environment['KUBECONFIG']})"


@dataclass
class Changes:
    """What the demo has made in somebody's cluster, and takes away again."""

    namespace: bool = False
    crd: bool = False


@dataclass(frozen=True)
class CurrentCluster(Cluster):
    """The cluster of the kubeconfig. But for a CRD, all that the demo makes is in its own namespace."""

    changes: Changes

    def install_operator(self, *values: str, namespace: str = NAMESPACE) -> None:
        """One that sees the demo's namespace only, and lies in it."""
        self.changes.crd = not self.kubectl("get", "crd", CRD, "--ignore-not-found")
        crd = f"crds.install={str(self.changes.crd).lower()}"
        super().install_operator(
            *values, crd, f"watchNamespaces={{{NAMESPACE}}}", "userRoles=false", namespace=namespace
        )

    def make_namespace(self) -> None:
        """A fresh one, also where a demo was kept. Raises DemoError where the name is taken by somebody else."""
        if found := self.kubectl("get", "namespace", NAMESPACE, "--ignore-not-found", "-o", "json"):
            if not OWN.items() <= json.loads(found)["metadata"].get("labels", {}).items():
                raise DemoError(f"there is a namespace {NAMESPACE} that no demo has made; the demo needs that name")
            self.kubectl("delete", "namespace", NAMESPACE)
        self.changes.namespace = True
        super().make_namespace()

    def clean(self) -> None:
        """Take away what was made. The CRD stays where it was before, or where there are TrainingJobs by now."""
        if self.changes.namespace:
            self.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found")
        if self.changes.crd and not self.trainingjobs():
            self.kubectl("delete", "crd", CRD, "--ignore-not-found")

    def trainingjobs(self) -> str:
        """Names of all in the cluster; none where there is no such kind."""
        there = self.kubectl("get", "crd", CRD, "--ignore-not-found")
        return there and self.kubectl("get", CRD, "--all-namespaces", "-o", "name")

    def page_hint(self, service: str, url: str) -> str:
        return (
            f"http://localhost:8080/, as long as `kubectl -n {NAMESPACE} port-forward service/{service} 8080:80` runs"
        )

    def stop_hint(self) -> str:
        crd = f"; kubectl delete crd {CRD}" if self.changes.crd else ""
        return f"kubectl delete namespace {NAMESPACE}{crd}"

    @contextlib.contextmanager
    def address(self, service: str) -> Iterator[str]:
        """Through kubectl, which reaches every cluster."""
        with self.running("port-forward", f"service/{service}", ":80") as forward:
            line = forward.stdout.readline() if forward.stdout else ""
            if not line.startswith("Forwarding from "):
                raise DemoError(f"kubectl port-forward service/{service} did not start")
            yield f"http://{line.split()[2]}"


def watches(operator: dict[str, Any], namespace: str) -> bool:
    """Whether this Deployment is an operator that works on the TrainingJobs of a namespace."""
    (container,) = operator["spec"]["template"]["spec"]["containers"]
    chosen = next((one.get("value", "") for one in container["env"] if one["name"] == "AUTOTRAIN_NAMESPACES"), "")
    return not chosen or namespace in chosen.split(",")


@contextlib.contextmanager
def own_cluster(keep: bool) -> Iterator[Cluster]:
    """A fresh minicluster below .demo/. What is kept has gone well; an interrupted demo leaves nothing running."""
    refuse_second_demo()
    options = [] if keep else ["--with-parent"]
    with (DEMO / "cluster.log").open("w") as log, process.started(DEMO / "cluster", *options, log=log) as started:
        (DEMO / "pid").write_text(str(started.process.pid))
        finished = False
        try:
            yield OwnCluster({**os.environ, "KUBECONFIG": str(started.kubeconfig)}, started.process.pid)
            finished = True
        finally:
            if not (keep and finished):
                started.process.terminate()
                started.process.wait(process.STOP_SECONDS)


def refuse_second_demo() -> None:
    """Raises DemoError when a demo that was kept is still there."""
    with contextlib.suppress(OSError, ValueError):
        pid = int((DEMO / "pid").read_text())
        if b"minicluster" in Path(f"/proc/{pid}/cmdline").read_bytes():
            raise DemoError(f"an earlier demo is still running; stop it with `kill {pid}`")


@contextlib.contextmanager
def current_cluster(keep: bool) -> Iterator[Cluster]:
    """The cluster of the kubeconfig. What is kept has gone well; otherwise nothing of the demo stays."""
    cluster = CurrentCluster(dict(os.environ), Changes())
    finished = False
    try:
        yield cluster
        finished = True
    finally:
        if not (keep and finished):
            cluster.clean()


CLUSTERS = {"minicluster": own_cluster, "current": current_cluster}
