"""The server as the operator starts it: settings from the pod's environment, probes, refusals, SIGTERM."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest

import onnx_bundle
import server_process
from autotrain_api import bundle, names
from autotrain_api.names import ExitCode, Reason, Stage
from autotrain_api.outcome import parse_outcome
from autotrain_api.trainingjob import Spec
from autotrain_operator import serving
from autotrain_operator.pods import Owner
from autotrain_operator.serving import Served
from autotrain_operator.settings import Settings as OperatorSettings
from autotrain_server.settings import Settings
from server_process import Server

SPEC = Spec.model_validate(
    {
        "task": "Classification",
        "data": {"uri": "https://example.org/colours.tgz"},
        "model": {"backbone": "resnet18"},
        "serving": {
            "postprocessing": {"labels": {"red": "Rot"}, "topK": 2},
            "limits": {"maxBodyBytes": "2Ki", "maxPixels": 100_000, "timeoutSeconds": 5},
        },
    }
)


def pod_environment(sha256: str, **changes: Any) -> dict[str, str]:
    """What the operator puts into the pod, by its own code."""
    owner = Owner("default", "colours", "uid")
    settings = OperatorSettings(trainer_image="trainer", server_image="server")
    spec = SPEC.model_copy(update={"serving": SPEC.serving.model_copy(update=changes)})
    template = serving.template(owner, spec, Served("v1-0000000000", sha256), settings, False)
    return {variable["name"]: variable["value"] for variable in template["spec"]["containers"][0]["env"]}


def server(folder: Path, sha256: str) -> AbstractContextManager[Server]:
    return server_process.server(folder, pod_environment(sha256))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    onnx_bundle.write_bundle(tmp_path / "bundle")
    return tmp_path / "bundle"


def digest(folder: Path) -> str:
    return bundle.sha256_of(folder / bundle.MANIFEST)


def test_the_pod_s_environment_is_what_the_server_reads(monkeypatch):
    for name, value in pod_environment("0" * 64).items():
        monkeypatch.setenv(name, value)

    settings = Settings()

    assert str(settings.bundle).startswith(names.MODELS_PATH)
    assert settings.bundle_sha256 == "0" * 64
    assert settings.postprocessing == SPEC.serving.postprocessing
    assert settings.limits == SPEC.serving.limits
    assert settings.max_body_bytes == 2048
    assert settings.port == names.PORT


def test_a_pod_answers_and_ends_cleanly(folder):
    with server(folder, digest(folder)) as running:
        running.wait_for("model ready")
        ready = running.client.get("/readyz")
        answer = running.client.post("/validate", files={"img": onnx_bundle.picture("red")}).json()
        large = running.client.post("/validate", files={"img": bytes(4096)})
        running.process.send_signal(signal.SIGTERM)
        code = running.process.wait(10)

    assert ready.status_code == 200
    assert (answer["prediction"], len(answer["top"])) == ("Rot", 2)
    assert large.status_code == 413
    assert code == ExitCode.OK
    assert not running.log.exists()


def test_sigterm_waits_for_a_request_that_is_being_sent(folder):
    began, going = threading.Event(), threading.Event()
    picture = onnx_bundle.picture("blue")

    def slowly() -> Iterator[bytes]:
        yield picture[:20]
        began.set()
        assert going.wait(10)
        yield picture[20:]

    answers: list[httpx.Response] = []
    with server(folder, digest(folder)) as running:
        running.wait_for("model ready")
        headers = {"content-type": "image/png"}
        asking = threading.Thread(
            target=lambda: answers.append(running.client.post("/validate", content=slowly(), headers=headers))
        )
        asking.start()
        assert began.wait(10)
        running.process.send_signal(signal.SIGTERM)
        running.wait_for("Shutting down")
        going.set()
        asking.join(10)
        code = running.process.wait(10)

    assert answers[0].json()["prediction"] == "blue"
    assert code == ExitCode.OK


def test_a_pod_with_an_altered_bundle_stays_and_says_why_it_is_not_ready(folder):
    trained = digest(folder)
    onnx_bundle.sign(folder, bundle.read_manifest(folder).model_copy(update={"name": "other"}))

    with server(folder, trained) as running:
        running.wait_for("model refused")
        ready, health = running.client.get("/readyz"), running.client.get("/healthz")
        running.process.send_signal(signal.SIGTERM)
        code = running.process.wait(10)
        outcome = parse_outcome(running.log.read_text())

    assert (ready.status_code, health.status_code) == (503, 200)
    assert ready.json()["reason"] == Reason.BUNDLE_ALTERED
    assert bundle.MANIFEST in ready.json()["message"]
    assert code == ExitCode.USER_ERROR
    assert (outcome.stage, outcome.reason) == (Stage.ROLLOUT, Reason.BUNDLE_ALTERED)
    assert bundle.MANIFEST in outcome.message


def test_importing_the_server_needs_no_torch():
    code = "import sys, autotrain_server.app; sys.exit('torch' in sys.modules or 'timm' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_server_that_is_to_use_a_gpu_and_has_none_says_what_to_do_and_never_answers(folder):
    with server_process.server(folder, pod_environment(digest(folder), gpus=1)) as running:
        running.wait_for("model refused")
        ready = running.client.get("/readyz")

    assert ready.status_code == 503
    assert ready.json()["reason"] == "EngineMissing"
    assert "serving.gpus" in ready.json()["message"]
