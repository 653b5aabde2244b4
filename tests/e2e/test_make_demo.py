"""The README's first command, as a newcomer types it; and what the demo leaves in the cluster of a kubeconfig: nothing."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e_lab import CRD, ROOT
from minicluster import process
from minicluster.binaries import binaries
from minicluster.fixtures import PROGRAMS, Cluster

pytestmark = pytest.mark.minicluster
DEMO = "autotrain-demo"


@pytest.fixture
def current(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster that has nothing of ours in it."""
    with process.running(tmp_path / "cluster") as started:
        yield Cluster(started.kubeconfig, binaries(PROGRAMS), tmp_path)


@contextlib.contextmanager
def demo_on(current: Cluster) -> Iterator["subprocess.Popen[str]"]:
    """`make demo CLUSTER=current`, without make, in a process group of its own as in a shell."""
    command = [sys.executable, str(ROOT / "examples/demo.py"), "--cluster", "current"]
    environment = {**os.environ, "KUBECONFIG": str(current.kubeconfig), "PYTHONPATH": str(ROOT / "tests")}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as running:
        yield running


def test_make_demo_ends_with_a_good_model() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", "demo", f"VENV={sys.prefix}"]
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)

    assert ran.returncode == 0, ran.stdout + ran.stderr
    words = [line.split()[1] for line in (ROOT / ".demo/get-atj-w.txt").read_text().splitlines()[1:]]
    phases = list(dict.fromkeys(word for word in words if word.isalpha()))
    assert phases in (["Pending", "Training", "RollingOut", "Ready"], ["Training", "RollingOut", "Ready"])


def test_a_demo_that_is_interrupted_leaves_nothing_in_the_cluster(current: Cluster) -> None:
    before = current.kubectl("get", "namespaces", "-o", "name").stdout
    with demo_on(current) as running:
        assert running.stdout is not None
        told = ""
        for line in running.stdout:
            told += line
            if "Training" in line:
                os.killpg(running.pid, signal.SIGINT)
                break
        told += running.stdout.read()

    assert running.returncode == 130, told
    assert "Taking away what this demo made" in told
    assert current.kubectl("get", "namespaces", "-o", "name").stdout == before
    assert current.kubectl("get", "crd", CRD, "--ignore-not-found").stdout == ""
    assert current.kubectl("get", "clusterroles,clusterrolebindings", "-o", "name").stdout.count("autotrain") == 0


def test_a_namespace_that_no_demo_has_made_is_not_touched(current: Cluster) -> None:
    current.kubectl("create", "namespace", DEMO)
    uid = current.kubectl("get", "namespace", DEMO, "-o", "jsonpath={.metadata.uid}").stdout
    with demo_on(current) as running:
        told, _ = running.communicate()

    assert running.returncode == 1
    assert f"there is a namespace {DEMO} that no demo has made" in told
    assert current.kubectl("get", "namespace", DEMO, "-o", "jsonpath={.metadata.uid}").stdout == uid
