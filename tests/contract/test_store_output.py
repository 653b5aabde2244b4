"""Bundles in an object store, against a real S3 API: uploaded whole, found again, served, or refused with the file's name."""

import contextlib
import io
from pathlib import Path

import pytest

import onnx_bundle
from autotrain_api import bundle
from autotrain_api.names import ExitCode, Reason
from autotrain_api.outcome import Failed, Succeeded
from autotrain_server.fetching import folder_of
from autotrain_server.model import Model
from autotrain_server.reading import BundleError
from autotrain_trainer.failures import RunError
from autotrain_trainer.store_output import StoreOutput
from contract.test_trained_bundle import data, run_of
from google_store import google_store
from object_store import environment, python
from server_process import server
from trained_model import attempt

__all__ = ["data"]
REVISION = "v1-0000000000"
PUBLISH = """
import sys; from pathlib import Path; from autotrain_trainer.store_output import StoreOutput
StoreOutput(sys.argv[1], Path(sys.argv[2])).publish()
"""


@pytest.fixture
def uri(request: pytest.FixtureRequest) -> str:
    """A place of this test's own."""
    return f"s3://lab/{request.node.name}/{REVISION}"


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits before trying again."""
    monkeypatch.setattr("autotrain_trainer.store_output.FIRST_WAIT_SECONDS", 0.0)
    monkeypatch.setattr("autotrain_server.stores.RETRIES", {"max_retries": 0})


def key_of(uri: str) -> str:
    return uri.removeprefix("s3://lab/")


def made(uri: str, work: Path) -> StoreOutput:
    """An output whose bundle is complete, and not yet in the store."""
    output = StoreOutput(uri, work)
    output.prepare()
    onnx_bundle.write_bundle(output.folder, revision=REVISION)
    return output


def digest_of(output: StoreOutput) -> str:
    return bundle.sha256_of(output.folder / bundle.MANIFEST)


def refused(uri: str, cache: Path) -> BundleError:
    with pytest.raises(BundleError) as raised:
        folder_of(uri, "", cache)
    return raised.value


# --- uploaded and found


def test_a_bundle_is_uploaded_with_its_manifest_last_and_found_verified(way, bucket, uri, tmp_path):
    output = made(uri, tmp_path / "one")
    way.seen.clear()
    output.publish()
    found = StoreOutput(uri, tmp_path / "two").find_finished(REVISION)
    written = [path for method, path, _ in way.seen if method == "PUT"]

    assert written[-1].endswith("/manifest.json")
    assert len(written) == len(bundle.read_manifest(output.folder).files) + 1
    assert found is not None
    assert (found.found, found.bundle_sha256) == (True, digest_of(output))
    assert found.metrics


def test_another_revision_is_not_taken(way, uri, tmp_path):
    made(uri, tmp_path / "one").publish()

    assert StoreOutput(uri, tmp_path / "two").find_finished("v1-1111111111") is None


def test_nothing_is_found_where_nothing_is(way, uri, tmp_path):
    assert StoreOutput(uri, tmp_path).find_finished(REVISION) is None


def test_what_lay_there_before_and_the_work_folder_are_gone_when_it_is_published(way, bucket, uri, tmp_path):
    bucket.put(f"{key_of(uri)}/model_int8.onnx", b"of an earlier try")
    bucket.put(f"{key_of(uri)}-other/manifest.json", b"of another revision")
    output = made(uri, tmp_path)
    output.publish()
    files = {*bundle.read_manifest(output.folder).files, bundle.MANIFEST}
    home = key_of(uri).rpartition("/")[0]

    assert bucket.keys(home) == {f"{key_of(uri)}/{name}" for name in files} | {f"{key_of(uri)}-other/manifest.json"}


def test_decisions_of_an_earlier_attempt_come_back(way, bucket, uri, tmp_path):
    first = StoreOutput(uri, tmp_path / "one")
    first.prepare()
    decided = tmp_path / f"one/.{REVISION}.work/resolved.json"
    decided.write_text("{}")
    first.keep(decided)
    second = StoreOutput(uri, tmp_path / "two")
    second.prepare()

    assert (tmp_path / f"two/.{REVISION}.work/resolved.json").read_text() == "{}"
    assert not any(key.endswith(".writable") for key in bucket.keys(key_of(uri).rpartition("/")[0]))


def test_google_s_stores_take_a_bundle_as_well(tmp_path, monkeypatch):
    objects: dict[str, bytes] = {}
    with google_store(objects) as settings:
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        output = made(f"gs://lab/models/{REVISION}", tmp_path / "one")
        output.publish()
        found = StoreOutput(f"gs://lab/models/{REVISION}", tmp_path / "two").find_finished(REVISION)

    assert found is not None
    assert found.bundle_sha256 == digest_of(output)
    assert all(key.startswith(f"models/{REVISION}/") for key in objects)


# --- what goes wrong


def test_a_process_that_was_killed_while_it_uploaded_leaves_no_bundle_and_the_next_run_is_right(
    way, bucket, uri, tmp_path
):
    output = made(uri, tmp_path / "one")
    way.spoil = lambda method, path: -1 if method == "PUT" and path.endswith("model.onnx") else None
    process = python(PUBLISH, uri, tmp_path / "one", env=environment(way.url))
    assert way.held.wait(30), process.communicate()
    process.kill()
    process.communicate()
    assert refused(uri, tmp_path / "cache").reason == Reason.BUNDLE_INCOMPLETE
    assert StoreOutput(uri, tmp_path / "two").find_finished(REVISION) is None
    way.spoil = lambda _method, _path: None
    output.publish()

    assert StoreOutput(uri, tmp_path / "three").find_finished(REVISION) is not None


def test_a_bundle_that_is_replaced_is_none_from_the_first_file_on(way, bucket, uri, tmp_path):
    output = made(uri, tmp_path / "one")
    output.publish()
    way.spoil = lambda method, path: 403 if method == "PUT" and path.endswith("scores.npy") else None
    with pytest.raises(RunError) as caught:
        output.publish()

    assert caught.value.reason == Reason.OUTPUT_NOT_WRITABLE
    assert refused(uri, tmp_path / "cache").reason == Reason.BUNDLE_INCOMPLETE


def test_one_flipped_byte_is_refused_by_the_server_and_trained_again_by_the_trainer(way, bucket, uri, tmp_path):
    made(uri, tmp_path / "one").publish()
    key = f"{key_of(uri)}/{bundle.MODEL}"
    content = bytearray(bucket.get(key))
    content[len(content) // 2] ^= 1
    bucket.put(key, bytes(content))
    error = refused(uri, tmp_path / "cache")

    assert (error.reason, error.file) == (Reason.BUNDLE_ALTERED, bundle.MODEL)
    assert StoreOutput(uri, tmp_path / "two").find_finished(REVISION) is None


def test_a_store_in_trouble_while_uploading_is_asked_again(way, uri, tmp_path):
    output = made(uri, tmp_path / "one")
    troubles = iter([503, 500, 503, 503])
    way.spoil = lambda method, _path: next(troubles, None) if method == "PUT" else None
    output.publish()

    assert StoreOutput(uri, tmp_path / "two").find_finished(REVISION) is not None


def test_a_store_that_does_not_answer_is_no_reason_to_train_again_nor_the_users_error(uri, way, tmp_path):
    way.spoil = lambda _method, _path: 503
    with pytest.raises(RunError) as caught:
        StoreOutput(uri, tmp_path).find_finished(REVISION)

    assert caught.value.reason == Reason.BUNDLE_UNREACHABLE
    assert caught.value.exit_code not in (ExitCode.OK, ExitCode.USER_ERROR)


@pytest.mark.parametrize(
    ("place", "status", "words"),
    [
        pytest.param("s3://lab/denied/v1-0000000000", 403, "access is denied (403)", id="no rights"),
        pytest.param("s3://no-such-bucket/v1-0000000000", None, "no such bucket", id="no bucket"),
    ],
)
def test_what_cannot_be_written_is_told_before_anything_costs_time(way, tmp_path, place, status, words):
    way.spoil = lambda method, _path: status if method == "PUT" else None
    with pytest.raises(RunError) as caught:
        StoreOutput(place, tmp_path).prepare()

    assert (caught.value.reason, caught.value.exit_code) == (Reason.OUTPUT_NOT_WRITABLE, ExitCode.USER_ERROR)
    assert words in str(caught.value)
    assert "spec.output.secretRef" in caught.value.outcome().hint


# --- served


def test_the_server_answers_from_a_store(way, uri, tmp_path):
    output = made(uri, tmp_path / "one")
    output.publish()
    settings = environment(way.url, AUTOTRAIN_CACHE=str(tmp_path / "cache"))
    with server(tmp_path / "none", settings, uri) as running:
        running.wait_for("model ready")
        answer = running.client.post("/validate", files={"img": onnx_bundle.picture("red")})

    assert answer.json()["prediction"] == "red"
    assert answer.headers["X-Model-Digest"] == digest_of(output)


def test_a_server_that_was_killed_while_it_fetched_starts_again_and_answers(way, uri, tmp_path):
    output = made(uri, tmp_path / "one")
    output.publish()
    cache, env = tmp_path / "cache", environment(way.url)
    way.spoil = lambda method, path: -10 if method == "GET" and path.endswith("model.onnx") else None
    code = "import sys; from pathlib import Path; from autotrain_server.fetching import folder_of\n"
    code += "folder_of(sys.argv[1], sys.argv[2], Path(sys.argv[3]))"
    process = python(code, uri, digest_of(output), cache, env=env)
    assert way.held.wait(30), process.communicate()
    process.kill()
    process.communicate()
    assert all(".partial-" in path.name for path in cache.iterdir())
    way.spoil = lambda _method, _path: None
    way.free.set()
    model = Model(uri, digest_of(output), cache=cache)
    model.start()
    model.wait(20)

    assert model.error is None
    assert model.predictor is not None
    assert [path.name for path in cache.iterdir()] == [model.folder.name]


def test_a_server_waits_for_a_store_that_does_not_answer_yet_and_says_so(way, uri, tmp_path, monkeypatch):
    monkeypatch.setattr("autotrain_server.model.FIRST_WAIT_SECONDS", 0.01)
    made(uri, tmp_path / "one").publish()
    troubles = iter([503] * 3)
    reasons: list[str] = []

    def spoil(_method: str, _path: str) -> int | None:
        reasons.append(model.error.reason if model.error else "")
        return next(troubles, None)

    model = Model(uri, cache=tmp_path / "cache")
    way.spoil = spoil
    model.start()
    model.wait(20)

    assert Reason.BUNDLE_UNREACHABLE in reasons
    assert model.error is None
    assert model.predictor is not None


# --- a whole run


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore:The 'mode.chained_assignment'", "ignore:numpy.core is deprecated")
def test_a_run_from_store_to_store_whose_upload_fails_is_repeated_as_decided_and_then_found(
    way, bucket, uri, data, tmp_path
):
    bucket.put_folder("shapes", data)
    places = {"data_uri": "s3://lab/shapes", "output_uri": uri}
    run = run_of(data, tmp_path, epochs=1).model_copy(update=places)
    home, name = key_of(uri).rsplit("/", 1)
    way.spoil = lambda method, path: 403 if method == "PUT" and path.endswith("model.onnx") else None
    with contextlib.redirect_stdout(io.StringIO()):
        failed, code = attempt(run, tmp_path)
        decided = bucket.get(f"{home}/.{name}.work/resolved.json")
        way.spoil = lambda _method, _path: None
        done, _ = attempt(run, tmp_path)
        found, _ = attempt(run, tmp_path)
    manifest = bundle.read_manifest(folder_of(uri, "", tmp_path / "cache"))

    assert isinstance(failed, Failed)
    assert (failed.reason, code) == (Reason.OUTPUT_NOT_WRITABLE, ExitCode.USER_ERROR)
    assert isinstance(done, Succeeded)
    assert f'"learning_rate": {manifest.resolved["learning_rate"]}'.encode() in decided
    assert not any(".work" in key for key in bucket.keys(home))
    assert isinstance(found, Succeeded)
    assert (done.found, found.found) == (False, True)
    assert found.bundle_sha256 == done.bundle_sha256
