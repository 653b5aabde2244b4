"""Data from object stores, against a real S3 API: whole and right, or an error that says what to do."""

import hashlib
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from archives import BIG, LARGE, PICTURES, files_of, silent, tar_of
from autotrain_api.names import ExitCode, Reason
from autotrain_trainer.data.fetch import fetch, fetch_file, locate
from autotrain_trainer.failures import RunError
from google_store import google_store
from object_store import environment, python

FETCH = """
import sys; from pathlib import Path; from autotrain_trainer.data.fetch import fetch
print(fetch(sys.argv[1], sys.argv[2], Path(sys.argv[3]), lambda _: None))
"""


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits before trying again."""
    monkeypatch.setattr("autotrain_trainer.data.fetch.FIRST_WAIT_SECONDS", 0.0)


def failed(uri: str, work: Path, sha256: str = "") -> RunError:
    with pytest.raises(RunError) as caught:
        fetch(uri, sha256, work, silent)
    assert not (work / "download").exists()
    return caught.value


# --- what is there


def test_an_archive_is_fetched_and_told_in_per_cent(bucket, way, tmp_path):
    bucket.put("archive/big.tar", BIG)
    told: list[str] = []
    folder = fetch("s3://lab/archive/big.tar", hashlib.sha256(BIG).hexdigest(), tmp_path, told.append)

    assert files_of(folder) == {"cats/big.png": LARGE}
    assert "downloading data: 100 %" in told


def test_a_prefix_is_a_folder_and_markers_of_folders_are_no_files(bucket, way, tmp_path):
    content = {"cats/one picture.png": b"1", "cats/100%.png": b"2", "hünde/#1?.png": b"3", "empty.txt": b""}
    for name, data in content.items():
        bucket.put(f"folder/{name}", data)
    bucket.raw("folder-other/none.png")
    bucket.raw("folder/cats/")

    assert files_of(fetch("s3://lab/folder", "", tmp_path / "one", silent)) == content
    assert files_of(fetch("s3://lab/folder/", "", tmp_path / "two", silent)) == content


def test_a_whole_bucket_is_a_folder(bucket, way, tmp_path):
    bucket.put("whole/a.png", b"1")

    assert files_of(fetch("s3://lab", "", tmp_path, silent)).get("whole/a.png") == b"1"


def test_a_name_with_a_space_is_written_as_in_a_uri(bucket, way, tmp_path):
    bucket.put("my data/a b.tar", BIG)

    assert (fetch("s3://lab/my%20data/a%20b.tar", "", tmp_path, silent) / "cats/big.png").exists()


def test_weights_come_through_the_same_door(bucket, way, tmp_path):
    bucket.put("weights/w.safetensors", b"weights")
    pinned = hashlib.sha256(b"weights").hexdigest()
    path = fetch_file("s3://lab/weights/w.safetensors", pinned, tmp_path / "w", "field", silent)

    assert path.read_bytes() == b"weights"


def test_google_s_stores_are_read_through_their_own_api(tmp_path, monkeypatch):
    with google_store({"archive/pets.tar": tar_of(PICTURES, "w"), "folder/a/1.png": b"1"}) as settings:
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        archive = files_of(fetch("gs://lab/archive/pets.tar", "", tmp_path / "one", silent))
        folder = files_of(fetch("gs://lab/folder", "", tmp_path / "two", silent))

    assert archive == PICTURES
    assert folder == {"a/1.png": b"1"}


# --- what goes wrong on the way


def test_a_line_that_is_cut_is_taken_up_where_it_broke_and_only_of_the_same_object(bucket, way, tmp_path):
    bucket.put("archive/big.tar", BIG)
    cuts = iter([3 << 20, 1 << 20])
    way.spoil = lambda method, _path: next(cuts, None) if method == "GET" else None
    folder = fetch("s3://lab/archive/big.tar", "", tmp_path, silent)

    assert files_of(folder) == {"cats/big.png": LARGE}
    assert any("bytes=" in asked.get("range", asked.get("Range", "")) for asked in way.asked("GET", "big.tar"))
    assert all(asked.get("if-match", asked.get("If-Match")) for asked in way.asked("GET", "big.tar"))


def test_an_object_that_changes_half_way_is_fetched_again_and_never_mixed(bucket, way, tmp_path):
    bucket.put("changing/big.tar", BIG)
    other = bytes(reversed(LARGE))
    changes = iter([True])

    def change(method: str, _path: str) -> None:
        if method != "GET" or not next(changes, False):
            return
        bucket.put("changing/big.tar", tar_of({"cats/big.png": other}, "w"))

    way.spoil = change
    told: list[str] = []
    folder = fetch("s3://lab/changing/big.tar", "", tmp_path, told.append)

    assert files_of(folder) == {"cats/big.png": other}
    assert any("changed while it was fetched" in line for line in told)


def test_an_object_that_changes_all_the_time_is_given_up(bucket, way, tmp_path):
    versions = iter(range(1000))

    def change(method: str, _path: str) -> None:
        if method == "GET":
            bucket.put("restless/a.tar", tar_of({"a": str(next(versions)).encode()}, "w"))

    bucket.put("restless/a.tar", BIG)
    way.spoil = change

    assert "changed 3 times" in str(failed("s3://lab/restless/a.tar", tmp_path))


def test_a_store_in_trouble_is_asked_again(bucket, way, tmp_path):
    bucket.put("archive/big.tar", BIG)
    troubles = iter([503, 500, 503])
    way.spoil = lambda _method, _path: next(troubles, None)

    assert files_of(fetch("s3://lab/archive/big.tar", "", tmp_path, silent)) == {"cats/big.png": LARGE}


def test_a_process_that_was_killed_half_way_leaves_nothing_that_counts_and_the_next_goes_on(bucket, way, tmp_path):
    bucket.put("archive/big.tar", BIG)
    way.spoil = lambda method, _path: -(3 << 20) if method == "GET" else None
    arguments = ("s3://lab/archive/big.tar", hashlib.sha256(BIG).hexdigest(), tmp_path)
    process = python(FETCH, *arguments, env=environment(way.url))
    assert way.held.wait(30), process.communicate()
    [half] = until(lambda: [path for path in tmp_path.glob("*.partial") if path.stat().st_size >= 2 << 20])
    process.kill()
    process.communicate()
    assert not (tmp_path / "download").exists()
    way.spoil = lambda _method, _path: None
    way.free.set()
    way.seen.clear()
    folder = fetch(arguments[0], arguments[1], tmp_path, silent)

    assert files_of(folder) == {"cats/big.png": LARGE}
    assert not half.exists()
    assert any("bytes=" in asked.get("range", asked.get("Range", "")) for asked in way.asked("GET", "big.tar"))


def until(found, patience: float = 20.0):
    """What `found` returns, once there is something."""
    deadline = time.monotonic() + patience
    while not (result := found()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return result


def test_a_half_that_is_longer_than_the_whole_is_not_gone_on_with(bucket, way, tmp_path):
    bucket.put("archive/big.tar", BIG)
    version = locate("s3://lab/archive/big.tar").version
    (tmp_path / f"download.{version[:12]}.partial").write_bytes(BIG + b"more")

    assert files_of(fetch("s3://lab/archive/big.tar", "", tmp_path, silent)) == {"cats/big.png": LARGE}


def test_half_of_another_version_is_not_gone_on_with(bucket, way, tmp_path):
    (tmp_path / "download.0123456789ab.partial").write_bytes(b"half of something else")
    bucket.put("archive/big.tar", BIG)

    assert files_of(fetch("s3://lab/archive/big.tar", "", tmp_path, silent)) == {"cats/big.png": LARGE}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "download"]


# --- what cannot be fetched


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        pytest.param("s3://lab/nowhere", "neither an object", id="no object"),
        pytest.param("s3://no-such-bucket/a.tar", "no such bucket", id="no bucket"),
        pytest.param("s3://lab/a/../b", "illegal character sequence", id="a way up"),
        pytest.param("s3://lab/a?versionId=1", "%3F", id="a query"),
    ],
)
def test_what_is_not_there_is_the_users_error_at_once(way, tmp_path, uri, words):
    error = failed(uri, tmp_path)

    assert (error.reason, error.exit_code) == (Reason.DATA_NOT_FOUND, ExitCode.USER_ERROR)
    assert words in str(error)
    assert uri in str(error)
    assert "secretRef" in error.outcome().hint


def test_a_password_in_a_uri_is_refused_and_not_repeated(way, tmp_path):
    error = failed("s3://me:very-secret@lab/a.tar", tmp_path)

    assert "s3://bucket/name is wanted" in str(error)
    assert "very-secret" not in error.outcome().model_dump_json()


def test_a_store_that_redirects_without_end_is_the_users_error(way, bucket, tmp_path, monkeypatch):
    way.spoil = lambda _method, _path: 302
    error = failed("s3://lab/archive/big.tar", tmp_path)

    assert error.exit_code == ExitCode.USER_ERROR


def test_an_answer_of_another_version_is_never_taken(way, bucket, tmp_path):
    bucket.put("archive/big.tar", BIG)
    way.replaced = {"etag": '"0123"'}
    error = failed("s3://lab/archive/big.tar", tmp_path)

    assert "changed 3 times" in str(error)


def test_a_refusal_says_so_and_tells_no_credential(bucket, way, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")
    way.spoil = lambda _method, _path: 403
    error = failed("s3://lab/archive/big.tar", tmp_path)

    assert "access is denied (403)" in str(error)
    assert error.exit_code == ExitCode.USER_ERROR
    assert "very-secret" not in error.outcome().model_dump_json()


def test_without_credentials_it_says_which_are_missing(way, tmp_path, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setattr("autotrain_server.stores.RETRIES", {"max_retries": 0})
    error = failed("s3://lab/archive/big.tar", tmp_path)

    assert "there are no credentials: AWS_ACCESS_KEY_ID" in str(error)
    assert error.exit_code == ExitCode.USER_ERROR


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        pytest.param("AWS_ACCESS_KEY_ID", "test\n", "AWS_ACCESS_KEY_ID has white space", id="a new line at the end"),
        pytest.param("AWS_REGION", "eu\n", "AWS_REGION has white space", id="a region with one"),
        pytest.param("AWS_ACCESS_KEY_ID", "schlüssel", "AWS_ACCESS_KEY_ID has", id="not ASCII"),
        pytest.param("AWS_ENDPOINT_URL", "http://a b", "a setting of the environment cannot be used", id="a space"),
        pytest.param("AWS_ENDPOINT_URL", "minio:9000", "AWS_ENDPOINT_URL is 'minio:9000'", id="no URL"),
    ],
)
def test_settings_that_cannot_be_right_are_named(way, tmp_path, monkeypatch, name, value, words):
    monkeypatch.setenv(name, value)
    error = failed("s3://lab/archive/big.tar", tmp_path)

    assert words in str(error)
    assert error.exit_code == ExitCode.USER_ERROR


def test_a_store_that_does_not_answer_is_not_the_users_error(way, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setattr("autotrain_server.stores.RETRIES", {"max_retries": 0})
    error = failed("s3://lab/archive/big.tar", tmp_path)

    assert error.reason == Reason.DATA_NOT_READABLE
    assert error.exit_code not in (ExitCode.OK, ExitCode.USER_ERROR)


@pytest.mark.parametrize("key", ["a/%2E%2E/%2E%2E/evil", "a//b", "a/./b"])
def test_names_that_lead_out_of_the_folder_are_refused(bucket, way, tmp_path, key):
    place = f"evil{len(key)}"
    bucket.raw(f"{place}/{key}", b"x")
    error = failed(f"s3://lab/{place}", tmp_path)

    assert error.exit_code == ExitCode.USER_ERROR
    assert list(tmp_path.iterdir()) == []


def test_an_object_with_others_below_it_is_no_folder(bucket, way, tmp_path):
    bucket.put("both/a", b"an object")
    bucket.put("both/a/b", b"below it")
    error = failed("s3://lab/both/", tmp_path)

    assert error.reason == Reason.DATA_ARCHIVE_UNSAFE
    assert "'both/a' is an object, and there are others below it" in str(error)


def test_what_does_not_fit_on_the_disk_is_refused_before_it_comes(bucket, way, tmp_path, monkeypatch):
    bucket.put("archive/big.tar", BIG)
    monkeypatch.setattr("shutil.disk_usage", lambda _path: SimpleNamespace(free=1 << 20))

    assert "there is room for 1 MiB" in str(failed("s3://lab/archive/big.tar", tmp_path))
    assert way.asked("GET", "big.tar") == []
