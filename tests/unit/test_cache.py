"""A cache on a claim that runs of different users share."""

import hashlib
import http.server
import os
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from archives import PICTURES, tar_of
from autotrain_trainer.data.cache import LOCK, MAKING, cached

ARCHIVE = tar_of(PICTURES, "w")
SHA256 = hashlib.sha256(ARCHIVE).hexdigest()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def uri(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "there").mkdir()
    (tmp_path / "there/pets.tar").write_bytes(ARCHIVE)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "there")))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/pets.tar"
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def _careful_umask() -> Iterator[None]:
    before = os.umask(0o027)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mode & 0o777 for path in [folder, *folder.rglob("*")]}


def test_a_run_of_another_user_can_wait_for_go_on_with_and_clean_up_what_this_one_makes(uri, tmp_path):
    cache, seen = tmp_path / "cache", {}
    cached(uri, SHA256, cache, tmp_path, lambda _: seen.update(modes(cache)))

    assert seen[cache] == 0o777
    assert {path.suffix: mode for path, mode in seen.items() if path.parent == cache} == {LOCK: 0o666, MAKING: 0o777}
    assert all(mode & 0o222 == 0o222 for mode in seen.values())


def test_a_run_of_another_user_can_read_an_entry_and_nothing_else(uri, tmp_path):
    folder = cached(uri, SHA256, tmp_path / "cache", tmp_path, lambda _: None)

    assert {mode for path, mode in modes(folder.parent).items() if path.is_dir()} == {0o755}
    assert {mode for path, mode in modes(folder).items() if path.is_file()} == {0o444}
    assert os.umask(0o027) == 0o027
