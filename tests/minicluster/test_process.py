"""A minicluster as a process: what it tells, and that nothing outlives it."""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from minicluster import process
from minicluster.fixtures import Cluster

PATIENCE_SECONDS = 20
SLEEPER = ("run", "sleeper", "--image=busybox", "--restart=Never", "--command", "--", "sh", "-c")


def await_true(holds: Callable[[], object]) -> None:
    due = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < due, "it never came true"
        time.sleep(0.05)


def processes_with(text: str) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if text.encode() in arguments and int(folder.name) != os.getpid():
            found.append(int(folder.name))
    return found


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_outlives_it(tmp_path: Path, cluster: Cluster, ending: signal.Signals) -> None:
    seconds = f"9{os.getpid()}"
    with process.started(tmp_path / "cluster") as started:
        own = Cluster(started.kubeconfig, cluster.programs, tmp_path / "cache")
        own.kubectl(*SLEEPER, f"sleep {seconds} & exec sleep {seconds}")
        await_true(lambda: len(processes_with(f"sleep\0{seconds}")) == 2)

        started.process.send_signal(ending)
        started.process.wait(PATIENCE_SECONDS)

    await_true(lambda: not processes_with(f"{seconds}"))


def test_two_of_them_run_side_by_side(tmp_path: Path) -> None:
    with process.running(tmp_path / "one") as one, process.running(tmp_path / "two") as two:
        assert one.url != two.url
        assert one.kubeconfig != two.kubeconfig


def test_a_folder_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")

    with pytest.raises(RuntimeError, match="did not start"), process.running(tmp_path):
        pass

    assert (tmp_path / "thesis.txt").exists()


def test_kubectl_follows_a_log_and_reads_an_earlier_one(cluster: Cluster, namespace: str) -> None:
    cluster.kubectl(
        *("run", "talker", "--namespace", namespace, "--image=busybox", "--command", "--", "sh", "-c"),
        "echo $$(date +%s%N); sleep 0.5; echo last; exit 1",
    )
    restarted = "--for=jsonpath={.status.containerStatuses[0].restartCount}=1"
    cluster.kubectl("wait", "--namespace", namespace, "pod/talker", restarted, "--timeout=20s")

    followed = cluster.kubectl("logs", "--namespace", namespace, "--follow", "talker").stdout
    earlier = cluster.kubectl("logs", "--namespace", namespace, "--previous", "talker").stdout

    assert followed.endswith("last\n")
    assert earlier.endswith("last\n")
    told = json.loads(cluster.kubectl("get", "pod", "talker", "--namespace", namespace, "-o", "json").stdout)
    assert told["status"]["podIP"].startswith("127.")


def test_kubectl_sees_a_deployment_roll_out_and_helm_waits_for_it(
    tmp_path: Path, cluster: Cluster, namespace: str
) -> None:
    chart = tmp_path / "web"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: web\nversion: 0.1.0\n")
    pod = {"containers": [{"name": "main", "image": "busybox", "command": ["sleep", "1000"]}]}
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": {**pod, "terminationGracePeriodSeconds": 0}}
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}}
    spec = {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}
    (chart / "templates/web.yaml").write_text(json.dumps({**deployment, "spec": spec}))

    cluster.helm("install", "web", str(chart), "--namespace", namespace, "--wait", "--timeout", "30s")
    rollout = cluster.kubectl("rollout", "status", "deployment/web", "--namespace", namespace, "--timeout=20s")
    cluster.helm("uninstall", "web", "--namespace", namespace, "--wait", "--timeout", "30s")

    assert "successfully rolled out" in rollout.stdout
