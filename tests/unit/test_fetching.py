"""A bundle from elsewhere: whole and with the right digests, or not at all."""

import http.server
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

import onnx_bundle
from autotrain_api import bundle
from autotrain_api.names import Reason
from autotrain_server.fetching import PARTIAL, folder_of
from autotrain_server.model import Model
from autotrain_server.reading import BundleError


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """What the server of `uri` gives out."""
    onnx_bundle.write_bundle(tmp_path / "there/bundle")
    return tmp_path / "there/bundle"


@pytest.fixture
def uri(there: Path) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(there.parent)))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/bundle"
    server.shutdown()
    server.server_close()


def digest(folder: Path) -> str:
    return bundle.sha256_of(folder / bundle.MANIFEST)


def refused(uri: str, cache: Path, sha256: str = "") -> BundleError:
    with pytest.raises(BundleError) as raised:
        folder_of(uri, sha256, cache)
    assert not cache.exists() or list(cache.iterdir()) == []
    return raised.value


@pytest.mark.parametrize("place", ["{}", "file://{}"])
def test_a_folder_stays_where_it_is(there, tmp_path, place):
    assert folder_of(place.format(there), "", tmp_path / "cache") == there


def test_a_bundle_is_fetched_verified_and_answers(there, uri, tmp_path):
    model = Model(uri, digest(there), cache=tmp_path / "cache")
    model.start()
    model.wait(20)

    assert model.error is None
    assert model.predictor is not None
    assert model.predictor.predict([onnx_bundle.picture("red")])[0].prediction == "red"
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [model.folder.name]


def test_a_pinned_bundle_that_is_here_is_not_fetched_again(there, uri, tmp_path):
    sha256 = digest(there)
    first = folder_of(uri, sha256, tmp_path / "cache")
    shutil.rmtree(there)

    assert folder_of(uri, sha256, tmp_path / "cache") == first


def test_a_copy_that_is_damaged_is_fetched_again(there, uri, tmp_path):
    sha256 = digest(there)
    folder = folder_of(uri, sha256, tmp_path / "cache")
    (folder / bundle.MODEL).write_bytes(b"damaged")

    assert folder_of(uri, sha256, tmp_path / "cache") == folder
    assert (folder / bundle.MODEL).read_bytes() == (there / bundle.MODEL).read_bytes()


def test_another_schema_is_named_as_in_a_folder(there, uri, tmp_path):
    manifest = there / bundle.MANIFEST
    manifest.write_text(manifest.read_text().replace('"schemaVersion": 1', '"schemaVersion": 9'))

    error = refused(uri, tmp_path / "cache")

    assert error.reason == Reason.SCHEMA_UNSUPPORTED
    assert "schemaVersion is 9" in str(error)


def test_what_a_killed_start_left_is_cleaned_up(uri, tmp_path):
    cache = tmp_path / "cache"
    folder = folder_of(uri, "", cache)
    shutil.rmtree(folder)
    left = cache / f"{folder.name}{PARTIAL}dead"
    left.mkdir()
    (left / bundle.MODEL).write_bytes(b"half")

    assert folder_of(uri, "", cache) == folder
    assert list(cache.iterdir()) == [folder]


def test_another_bundle_than_the_pinned_one_is_refused_before_its_files_are_fetched(there, uri, tmp_path):
    (there / bundle.MODEL).unlink()

    assert refused(uri, tmp_path / "cache", "0" * 64).reason == Reason.BUNDLE_ALTERED


def test_an_altered_file_is_refused_by_name(there, uri, tmp_path):
    (there / bundle.MODEL).write_bytes(b"other")
    error = refused(uri, tmp_path / "cache")

    assert (error.reason, error.file) == (Reason.BUNDLE_ALTERED, bundle.MODEL)


def test_a_missing_file_is_named(there, uri, tmp_path):
    (there / bundle.GOLDEN_SCORES).unlink()
    error = refused(uri, tmp_path / "cache")

    assert (error.reason, error.file) == (Reason.BUNDLE_INCOMPLETE, bundle.GOLDEN_SCORES)


def test_what_is_no_bundle_is_incomplete(uri, tmp_path):
    assert refused(f"{uri}/golden", tmp_path / "cache").reason == Reason.BUNDLE_INCOMPLETE


@pytest.mark.parametrize("place", ["ftp://example.org/a", "hdfs://a/b"])
def test_a_scheme_that_is_not_known_names_those_that_are(tmp_path, place):
    error = refused(place, tmp_path / "cache")

    assert error.reason == Reason.BUNDLE_UNREACHABLE
    assert "s3://" in str(error)


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", "a/../../b", "a\\b", ""])
def test_names_that_leave_the_bundle_are_refused(there, uri, tmp_path, name):
    manifest = bundle.read_manifest(there)
    signed = manifest.model_copy(update={"files": {**manifest.files, name: "0" * 64}})
    (there / bundle.MANIFEST).write_bytes(bundle.dump_manifest(signed))

    assert refused(uri, tmp_path / "cache").reason == Reason.BUNDLE_ALTERED
