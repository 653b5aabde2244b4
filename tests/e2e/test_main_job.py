"""helm install, kubectl apply, train, roll out, ask: the whole life of one object with the real trainer and server."""

import base64
import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from e2e_lab import CRD, NAMESPACE, RELEASE, SYSTEM, Lab
from minicluster.fixtures import Cluster

pytestmark = pytest.mark.cluster
ASKING = Path(__file__).parent / "asking.py"


def test_a_trainingjob_becomes_a_model_that_answers(lab: Lab, served: str) -> None:
    status = lab.status(served)
    right = 0
    with lab.address(served) as url, httpx.Client(timeout=10) as client:
        for picture in lab.held_out[:50]:
            answer = lab.ask(client, url, picture)
            assert answer.status_code == 200
            assert answer.headers["X-Model-Revision"] == status["revision"]
            right += answer.json()["prediction"] == picture.label

    assert status["phase"] == "Ready"
    assert right / 50 >= status["metrics"]["low"] - 0.15


def test_an_edit_rolls_out_without_a_failed_request_and_a_revert_comes_back_without_a_job(
    lab: Lab, served: str
) -> None:
    first = lab.status(served)["revision"]
    with Load(lab, served) as load:
        lab.apply(served, serving={"replicas": 2}, training={"epochs": 1, "freezeEpochs": 0, "learningRate": 0.004})
        lab.wait(served, "Ready")
        second = lab.status(served)["revision"]
        jobs = lab.jobs(served)
        lab.apply(served, serving={"replicas": 2})
        lab.wait(served, "Ready")

    assert lab.status(served)["revision"] == first
    assert lab.jobs(served) == jobs
    assert load.failures == []
    assert load.revisions == {first, second}


def test_a_new_number_of_answers_never_trains(lab: Lab, served: str) -> None:
    jobs = lab.jobs(served)
    lab.apply(served, serving={"replicas": 2, "postprocessing": {"topK": 2}})
    lab.wait(served, "Ready")
    with lab.address(served) as url, httpx.Client() as client:
        answer = lab.ask(client, url, lab.held_out[0]).json()

    assert len(answer["top"]) == 2
    assert lab.jobs(served) == jobs


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param({"uri": "pvc://digits-data/nowhere"}, "DataNotFound", id="a folder that is not there"),
        pytest.param({"uri": "pvc://digits-data/train/3"}, "DataEmpty", id="a folder without classes"),
    ],
)
def test_data_that_cannot_be_used_ends_in_one_attempt_with_words(lab: Lab, data: dict[str, str], reason: str) -> None:
    name = f"bad-{reason.lower()}"
    lab.apply(name, data=data)
    lab.wait(name, "Stalled")
    status = lab.status(name)

    assert status["phase"] == "Failed"
    assert (status["failure"]["reason"], status["failure"]["exitCode"]) == (reason, 65)
    assert status["failure"]["message"]
    assert status["failure"]["hint"]
    assert len(lab.jobs(name)) == 1
    lab.kubectl("delete", "trainingjob", name)


def test_a_spec_that_says_nothing_useful_is_refused_with_its_path(lab: Lab) -> None:
    with pytest.raises(AssertionError, match=r"spec.training.epochs.*greater than or equal to 1"):
        lab.apply("refused", training={"epochs": 0})


def test_an_altered_bundle_is_never_served_and_the_other_pods_go_on(lab: Lab, served: str) -> None:
    revision = lab.status(served)["revision"]
    alter(lab, f"{NAMESPACE}/{served}/{revision}/model.onnx")
    labels = "autotrain.dev/trainingjob=digits,app.kubernetes.io/component=serving"
    victim = lab.get("pods", "-l", labels)["items"][0]["metadata"]["name"]
    lab.kubectl("delete", "pod", victim)
    lab.until(lambda: lab.condition(served, "RolledOut").get("reason") == "BundleAltered", "word of the altered bundle")

    assert "model.onnx" in lab.condition(served, "RolledOut")["message"]
    assert lab.condition(served, "Available")["status"] == "True"
    with lab.address(served) as url, httpx.Client() as client:
        assert lab.ask(client, url, lab.held_out[0]).status_code == 200


def test_deleting_the_object_leaves_the_models_and_nothing_else(lab: Lab, served: str) -> None:
    lab.kubectl("delete", "trainingjob", served)
    kinds = "pods,jobs,deployments,services,configmaps,poddisruptionbudgets"

    def gone() -> bool:
        return not lab.get(kinds, "-l", f"autotrain.dev/trainingjob={served}")["items"]

    lab.until(gone, "empty namespace", lambda: lab.kubectl("get", kinds))
    assert lab.get("pvc", f"{served}-models")["status"]["phase"] == "Bound"


@pytest.mark.real_cluster
def test_helm_test_trains_and_asks(cluster: Cluster, lab: Lab) -> None:
    ran = cluster.helm("test", RELEASE, "--namespace", SYSTEM, "--logs", "--timeout", "5m", check=False, timeout=330)

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "a red disc is red" in ran.stdout


def test_uninstalling_keeps_the_crd_and_what_is_served(cluster: Cluster, lab: Lab) -> None:
    cluster.helm("uninstall", RELEASE, "--namespace", SYSTEM, "--wait")

    cluster.kubectl("get", "customresourcedefinition", CRD)


class Load:
    """A pod that asks without a pause, on new connections, and tells who answered and what failed."""

    def __init__(self, lab: Lab, name: str) -> None:
        self.failures: list[str] = []
        self.revisions: set[str] = set()
        self._lab = lab
        self._pod = restricted_pod(f"load-{name}", "python:3.11-slim", ["python", "-c", ASKING.read_text()])
        container = self._pod["spec"]["containers"][0]
        url = f"http://{lab.get('service', name)['spec']['clusterIP']}/validate"
        picture = base64.b64encode(lab.held_out[0].png()).decode()
        container["env"] = [{"name": "URL", "value": url}, {"name": "PICTURE", "value": picture}]

    def _answers(self) -> list[str]:
        return self._lab.kubectl("logs", self._pod["metadata"]["name"]).splitlines()

    def __enter__(self) -> "Load":
        self._lab.kubectl("apply", "-f", "-", input=json.dumps(self._pod))
        name = f"pod/{self._pod['metadata']['name']}"
        self._lab.kubectl("wait", "--for=condition=Ready", name, "--timeout=60s", timeout=90)
        self._lab.until(lambda: len(self._answers()) > 5, "answers")
        return self

    def __exit__(self, *_: object) -> None:
        answers = self._answers()
        self._lab.kubectl("delete", "pod", self._pod["metadata"]["name"], "--now")
        self.failures = [line for line in answers if not line.startswith("200 ")]
        self.revisions = {line.split()[1] for line in answers if line.startswith("200 ")}


def alter(lab: Lab, path: str) -> None:
    """Flip one byte of a file on the models' claim, as a bad disk would: through a pod."""
    script = f"printf X | dd of=/models/{path} bs=1 seek=2000 count=1 conv=notrunc"
    pod = restricted_pod(f"alter-{int(time.time())}", "busybox:1.37", ["sh", "-c", script])
    pod["spec"]["containers"][0]["volumeMounts"] = [{"name": "models", "mountPath": "/models"}]
    pod["spec"]["volumes"] = [{"name": "models", "persistentVolumeClaim": {"claimName": "digits-models"}}]
    lab.kubectl("apply", "-f", "-", input=json.dumps(pod))
    name = pod["metadata"]["name"]
    lab.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", f"pod/{name}", "--timeout=60s", timeout=90)


def restricted_pod(name: str, image: str, command: list[str]) -> dict[str, Any]:
    """A pod that the Pod Security level `restricted` lets in."""
    container = {
        "name": "main",
        "image": image,
        "command": command,
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    security = {
        "runAsNonRoot": True,
        "runAsUser": 1000,
        "fsGroup": 1000,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    spec = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 1,
        "securityContext": security,
        "containers": [container],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
