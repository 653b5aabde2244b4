"""A cache of data that several runs share: fetched once, whole, and told apart by content."""

import fcntl
import hashlib
import os
import subprocess
import time
from pathlib import Path

import pytest

from archives import BIG, LARGE, PICTURES, files_of, silent, tar_of
from autotrain_api.names import ExitCode, Reason
from autotrain_api.run import RunConfig
from autotrain_trainer.data.cache import cached, open_data
from autotrain_trainer.failures import RunError
from hub_server import hub
from object_store import environment, python

RUN = """
import sys; from pathlib import Path; from autotrain_trainer.data.cache import cached
print(cached(sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]), lambda _: None))
"""
BIG_SHA256 = hashlib.sha256(BIG).hexdigest()


def entries(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir() if not path.name.endswith(".lock"))


def test_the_second_run_asks_for_nothing_but_the_version(way, bucket, tmp_path):
    bucket.put("cached/pets.tar", tar_of(PICTURES, "w"))
    told: list[str] = []
    first = cached("s3://lab/cached/pets.tar", "", tmp_path / "cache", tmp_path, silent)
    way.seen.clear()
    second = cached("s3://lab/cached/pets.tar", "", tmp_path / "cache", tmp_path, told.append)

    assert first == second
    assert files_of(second) == PICTURES
    assert way.asked("GET", "pets.tar") == []
    assert any("found the data in the cache" in line for line in told)


def test_a_pinned_archive_is_found_without_a_network_and_wherever_it_came_from(way, bucket, tmp_path):
    bucket.put("archive/big.tar", BIG)
    first = cached("s3://lab/archive/big.tar", BIG_SHA256, tmp_path / "cache", tmp_path, silent)
    way.spoil = lambda _method, _path: 503

    assert cached("https://nowhere.invalid/big.tar", BIG_SHA256, tmp_path / "cache", tmp_path, silent) == first


def test_other_content_is_another_entry_and_the_old_one_stays(way, bucket, tmp_path):
    bucket.put("cached/new.tar", tar_of({"a.png": b"old"}, "w"))
    first = cached("s3://lab/cached/new.tar", "", tmp_path / "cache", tmp_path, silent)
    bucket.put("cached/new.tar", tar_of({"a.png": b"new"}, "w"))
    second = cached("s3://lab/cached/new.tar", "", tmp_path / "cache", tmp_path, silent)

    assert (files_of(first), files_of(second)) == ({"a.png": b"old"}, {"a.png": b"new"})
    assert len(entries(tmp_path / "cache")) == 2


def test_a_folder_of_objects_is_kept_as_well(way, bucket, tmp_path):
    bucket.put("cached/folder/a/1.png", b"1")
    first = cached("s3://lab/cached/folder", "", tmp_path / "cache", tmp_path, silent)
    bucket.put("cached/folder/a/2.png", b"2")
    second = cached("s3://lab/cached/folder", "", tmp_path / "cache", tmp_path, silent)

    assert files_of(first) == {"a/1.png": b"1"}
    assert files_of(second) == {"a/1.png": b"1", "a/2.png": b"2"}


def test_a_data_set_of_the_hub_is_kept_by_its_commit(tmp_path, monkeypatch):
    with hub() as made:
        made.datasets["lab/pets"] = PICTURES
        monkeypatch.setenv("HF_ENDPOINT", made.url)
        places = [
            cached(f"hf://datasets/lab/pets{at}", "", tmp_path / "cache", tmp_path, silent) for at in ("", "", "@v1")
        ]
        downloads = len(made.downloads)

    assert files_of(places[0]) == PICTURES
    assert places[0] == places[1]
    assert downloads == 2 * len(PICTURES)


def test_what_is_in_it_is_only_read(way, bucket, tmp_path):
    bucket.put("archive/big.tar", BIG)
    folder = cached("s3://lab/archive/big.tar", "", tmp_path / "cache", tmp_path, silent)

    assert all(path.stat().st_mode & 0o222 == 0 for path in folder.rglob("*") if path.is_file())


def test_two_runs_at_the_same_time_fetch_once(way, bucket, tmp_path):
    bucket.put("archive/big.tar", BIG)
    way.spoil = lambda method, _path: -(1 << 20) if method == "GET" and not way.held.is_set() else None
    arguments = ("s3://lab/archive/big.tar", "", tmp_path / "cache", tmp_path)
    first = python(RUN, *arguments, env=environment(way.url))
    assert way.held.wait(30), first.communicate()
    second = python(RUN, *arguments, env=environment(way.url))
    waits_for_lock(second, tmp_path / "cache")
    way.free.set()
    places = {process.communicate(timeout=60)[0].strip() for process in (first, second)}

    assert len(places) == 1
    assert files_of(Path(places.pop())) == {"cats/big.png": LARGE}
    assert len(whole := [asked for asked in way.asked("GET", "big.tar") if "range" not in asked]) == 1, whole


def waits_for_lock(process: subprocess.Popen[str], cache: Path) -> None:
    """Until a process blocks on the lock of an entry, as the kernel tells."""
    [lock] = cache.glob("*.lock")
    inode = f":{lock.stat().st_ino} "
    deadline = time.monotonic() + 20
    while not any("->" in line and inode in line for line in Path("/proc/locks").read_text().splitlines()):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("place", ["s3://lab/archive/big.tar", "{}/lab/archive/big.tar"])
def test_a_run_that_was_killed_half_way_is_gone_on_with_and_its_lock_is_free(way, bucket, tmp_path, place):
    bucket.put("archive/big.tar", BIG)
    cache, uri = tmp_path / "cache", place.format(way.url)
    way.spoil = lambda method, _path: -(3 << 20) if method == "GET" else None
    process = python(RUN, uri, "", cache, tmp_path, env=environment(way.url))
    assert way.held.wait(30), process.communicate()
    process.kill()
    process.communicate()
    assert [name.endswith(".making") for name in entries(cache)] == [True]
    way.spoil = lambda _method, _path: None
    way.free.set()
    folder = cached(uri, "", cache, tmp_path, silent)

    assert files_of(folder) == {"cats/big.png": LARGE}
    assert entries(cache) == [folder.parent.name]


def test_what_a_dead_run_left_of_other_data_is_cleaned_up_and_what_a_live_one_makes_is_not(way, bucket, tmp_path):
    cache = tmp_path / "cache"
    for name in ("dead", "live"):
        (cache / f"{name}.making").mkdir(parents=True)
    bucket.put("archive/big.tar", BIG)
    with (cache / "live.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder = cached("s3://lab/archive/big.tar", "", cache, tmp_path, silent)

    assert entries(cache) == sorted([folder.parent.name, "live.making"])


@pytest.mark.parametrize("content", [b"no archive", tar_of({"../evil": b""})])
def test_an_archive_that_is_refused_leaves_nothing(way, bucket, tmp_path, content):
    bucket.put("cached/bad.tar", content)
    with pytest.raises(RunError) as caught:
        cached("s3://lab/cached/bad.tar", "", tmp_path / "cache", tmp_path, silent)

    assert caught.value.exit_code == ExitCode.USER_ERROR
    assert entries(tmp_path / "cache") == []


def test_another_digest_than_the_pinned_one_leaves_nothing(way, bucket, tmp_path):
    bucket.put("archive/big.tar", BIG)
    with pytest.raises(RunError) as caught:
        cached("s3://lab/archive/big.tar", "0" * 64, tmp_path / "cache", tmp_path, silent)

    assert caught.value.reason == Reason.DATA_DIGEST_MISMATCH
    assert entries(tmp_path / "cache") == []


def test_a_cache_that_cannot_be_used_is_named(way, bucket, tmp_path):
    bucket.put("archive/big.tar", BIG)
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(RunError, match=f"the cache {tmp_path}/cache cannot be used") as caught:
        cached("s3://lab/archive/big.tar", "", tmp_path / "cache", tmp_path, silent)

    assert "spec.data.cache" in str(caught.value)


def test_a_run_takes_its_cache_from_its_configuration_and_leaves_local_data_where_it_is(way, bucket, tmp_path):
    bucket.put("archive/big.tar", BIG)
    cache = tmp_path / "my cache"
    recipe = {"task": "Classification", "data": {"uri": "s3://lab/archive/big.tar"}, "model": {"backbone": "resnet18"}}
    facts = {"name": "a", "revision": "v1-0123456789", "recipe": recipe, "outputUri": "file:///none"}
    run = RunConfig.model_validate({**facts, "dataUri": recipe["data"]["uri"], "dataCacheUri": cache.as_uri()})
    folder = open_data(run, tmp_path / "work", silent)
    here = open_data(run.model_copy(update={"data_uri": folder.as_uri()}), tmp_path / "work", silent)

    assert folder.is_relative_to(cache)
    assert here == folder
    assert len(entries(cache)) == 1
    assert os.access(folder / "cats/big.png", os.R_OK)
