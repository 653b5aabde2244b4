"""helm install, kubectl apply, train, roll out, ask: the whole life of one object with the real trainer and server."""

import json
import threading
import time

import httpx
import pytest

from e2e_lab import NAMESPACE, Lab


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


class Load:
    """One client that asks without a pause, on new connections, and notes who answered and what failed."""

    def __init__(self, lab: Lab, name: str) -> None:
        self.failures: list[str] = []
        self.revisions: set[str] = set()
        self._lab, self._name = lab, name
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        with self._lab.address(self._name) as url:
            while not self._over.is_set():
                try:
                    with httpx.Client(timeout=10) as client:
                        answer = self._lab.ask(client, url, self._lab.held_out[0])
                    if answer.status_code == 200:
                        self.revisions.add(answer.headers["X-Model-Revision"])
                    else:
                        self.failures.append(f"{answer.status_code} {answer.text}")
                except httpx.HTTPError as error:
                    self.failures.append(repr(error))
                self._over.wait(0.02)

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def alter(lab: Lab, path: str) -> None:
    """Flip one byte of a file on the models' claim, as a bad disk would: through a pod."""
    script = f"printf X | dd of=/models/{path} bs=1 seek=2000 count=1 conv=notrunc"
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"alter-{int(time.time())}"},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 1000,
                "fsGroup": 1000,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "alter",
                    "image": "busybox:1.37",
                    "command": ["sh", "-c", script],
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                    "volumeMounts": [{"name": "models", "mountPath": "/models"}],
                }
            ],
            "volumes": [{"name": "models", "persistentVolumeClaim": {"claimName": "digits-models"}}],
        },
    }
    lab.kubectl("apply", "-f", "-", input=json.dumps(pod))
    name = pod["metadata"]["name"]  # type: ignore[index]
    lab.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", f"pod/{name}", "--timeout=60s", timeout=90)
