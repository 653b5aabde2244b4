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
RELEASE = "autotrain"
OWN = "app.kubernetes.io/part-of=autotrain-demo"
"""Label of the demo's namespace: without it, a namespace of that name is somebody else's."""
RESTRICTED = "pod-security.kubernetes.io/enforce=restricted"


class DemoError(Exception):
    """The demo cannot go on; the message says why."""


@dataclass(frozen=True)
class Cluster:
    """kubectl and helm against one cluster, in the demo's namespace."""

    environment: dict[str, str]

    def command(self, program: str, *arguments: str, namespace: str = NAMESPACE) -> list[str]:
        return [str(binaries(PROGRAMS)[program]), "--namespace", namespace, *arguments]

    def run(self, program: str, *arguments: str, namespace: str = NAMESPACE) -> str:
        """Its output. Raises DemoError with its words."""
        command = self.command(program, *arguments, namespace=namespace)
        ran = subprocess.run(command, env=self.environment, capture_output=True, text=True)
        if ran.returncode:
            raise DemoError(f"{program} {' '.join(arguments)}\n{ran.stderr.strip()}")
        return ran.stdout

    def kubectl(self, *arguments: str, namespace: str = NAMESPACE) -> str:
        return self.run("kubectl", *arguments, namespace=namespace)

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

    def install_operator(self, *values: str) -> None:
        """helm install, until the operator is ready."""
        arguments = ["upgrade", "--install", RELEASE, str(CHART), "--create-namespace"]
        self.run("helm", *arguments, *(f"--set={value}" for value in values), namespace=SYSTEM)
        self.kubectl("rollout", "status", "deployment/autotrain-operator", "--timeout=120s", namespace=SYSTEM)

    def make_namespace(self) -> None:
        """The demo's namespace, which takes in no pod that is not `restricted`."""
        self.kubectl("create", "namespace", NAMESPACE)
        self.kubectl("label", "namespace", NAMESPACE, OWN, RESTRICTED)

    @contextlib.contextmanager
    def address(self, service: str) -> Iterator[str]:
        """URL of a Service on this machine: in minicluster, its address is one of the loopback."""
        yield f"http://{service_address(self.get('service', service)).removesuffix(':80')}"

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

    operator: bool = False
    operator_namespace: bool = False
    namespace: bool = False


@dataclass(frozen=True)
class CurrentCluster(Cluster):
    """The cluster of the kubeconfig. An operator that is there is used; otherwise the demo brings its own."""

    changes: Changes

    def install_operator(self, *values: str) -> None:
        """Unless there is one, in whichever namespace."""
        chosen = ("deployments", "--all-namespaces", "-l", "app.kubernetes.io/name=autotrain-operator")
        if not self.get(*chosen)["items"]:
            self.changes.operator = True
            self.changes.operator_namespace = not self.has_namespace(SYSTEM)
            super().install_operator(*values, f"crds.install={str(not self.has_crd()).lower()}")

    def has_crd(self) -> bool:
        return bool(self.kubectl("get", "crd", "trainingjobs.autotrain.dev", "--ignore-not-found"))

    def has_namespace(self, name: str) -> bool:
        return bool(self.kubectl("get", "namespace", name, "--ignore-not-found"))

    def make_namespace(self) -> None:
        """A fresh one. Raises DemoError where the name is taken by somebody else."""
        if self.has_namespace(NAMESPACE):
            if not self.kubectl("get", "namespaces", "-l", OWN, "-o", "name"):
                raise DemoError(f"there is a namespace {NAMESPACE} that no demo has made; the demo needs that name")
            self.kubectl("delete", "namespace", NAMESPACE)
        self.changes.namespace = True
        super().make_namespace()

    def clean(self) -> None:
        """Take away what was made; the CRD stays, and with it everybody's TrainingJobs."""
        if self.changes.namespace:
            self.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found")
        if self.changes.operator:
            self.run("helm", "uninstall", RELEASE, "--ignore-not-found", namespace=SYSTEM)
        if self.changes.operator_namespace:
            self.kubectl("delete", "namespace", SYSTEM, "--ignore-not-found")

    def stop_hint(self) -> str:
        operator = f"; helm uninstall {RELEASE} --namespace {SYSTEM}" if self.changes.operator else ""
        return f"kubectl delete namespace {NAMESPACE}{operator}"

    @contextlib.contextmanager
    def address(self, service: str) -> Iterator[str]:
        with self.running("port-forward", f"service/{service}", ":80") as forward:
            line = forward.stdout.readline() if forward.stdout else ""
            if not line.startswith("Forwarding from "):
                raise DemoError(f"kubectl port-forward service/{service} did not start")
            yield f"http://{line.split()[2]}"


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
