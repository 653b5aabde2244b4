import hashlib
import os
import socket
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archives import PICTURES, silent, tar_of, zip_of
from autotrain_api.names import ExitCode, Reason
from autotrain_trainer.data.fetch import Told, fetch
from autotrain_trainer.failures import RunError, Terminated

URI = "https://example.org/data"


class Site:
    """A web server on this machine: `files` by path; `stumbles` is how many GETs break off in the middle."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.codes: dict[str, int] = {}
        self.stumbles = 0
        self.ranges = True
        self.tags: list[str] = []
        """One for each answer to come."""
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                self.answer(body=False)

            def do_GET(self) -> None:
                self.answer(body=True)

            def answer(self, body: bool) -> None:
                content = site.files.get(self.path)
                if content is None:
                    self.send_response(site.codes.get(self.path, 404))
                    self.send_header("Location", self.path)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                first, last = self.wanted(len(content))
                part = content[first : last + 1]
                self.send_response(206 if len(part) < len(content) else 200)
                self.send_header("Content-Length", str(len(part)))
                if site.tags:
                    self.send_header("ETag", site.tags.pop(0))
                if site.ranges:
                    self.send_header("Accept-Ranges", "bytes")
                    self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
                self.end_headers()
                if body and site.stumbles:
                    site.stumbles -= 1
                    self.wfile.write(part[: len(part) // 2])
                    self.close_connection = True
                elif body:
                    self.wfile.write(part)

            def wanted(self, size: int) -> tuple[int, int]:
                given = self.headers.get("Range", "")
                if not given or not site.ranges:
                    return 0, size - 1
                first, _, last = given.removeprefix("bytes=").partition("-")
                return int(first), min(int(last or size - 1), size - 1)

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()


@pytest.fixture(scope="module")
def server() -> Iterator[Site]:
    site = Site()
    yield site
    site.server.shutdown()
    site.server.server_close()


@pytest.fixture
def site(server: Site) -> Site:
    server.files, server.codes, server.stumbles, server.ranges, server.tags = {}, {}, 0, True, []
    return server


def failed(uri: str, work: Path, sha256: str = "") -> RunError:
    with pytest.raises(RunError) as caught:
        fetch(uri, sha256, work, silent)
    return caught.value


def unpacked(content: bytes, work: Path) -> dict[str, bytes]:
    folder = fetch(archived(content, work), "", work, silent)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def archived(content: bytes, work: Path) -> str:
    (work / "archive").write_bytes(content)
    return f"file://{work / 'archive'}"


ARCHIVES = {
    "tar": tar_of(PICTURES, "w"),
    "tgz": tar_of(PICTURES),
    "tbz": tar_of(PICTURES, "w:bz2"),
    "txz": tar_of(PICTURES, "w:xz"),
    "zip": zip_of(PICTURES),
}

# --- where data comes from


@pytest.mark.parametrize("kind", ARCHIVES)
def test_every_kind_of_archive_is_unpacked(kind, tmp_path):
    assert unpacked(ARCHIVES[kind], tmp_path) == PICTURES


def test_a_folder_is_used_where_it_lies(tmp_path):
    assert fetch(f"file://{tmp_path}", "", tmp_path / "work", silent) == tmp_path


def test_a_space_in_a_path_is_written_as_in_a_uri(tmp_path):
    (tmp_path / "my data").mkdir()

    assert fetch(f"file://{tmp_path}/my%20data", "", tmp_path, silent).name == "my data"


@pytest.mark.parametrize("ranges", [True, False])
def test_an_archive_is_downloaded(site, tmp_path, ranges):
    site.files["/data.tgz"] = ARCHIVES["tgz"]
    site.ranges = ranges

    folder = fetch(f"{site.url}/data.tgz", hashlib.sha256(ARCHIVES["tgz"]).hexdigest(), tmp_path, silent)

    assert (folder / "cats/1.png").read_bytes() == b"one"


def test_a_download_that_breaks_off_is_tried_again(site, tmp_path):
    site.files["/data.tgz"] = ARCHIVES["tgz"]
    site.stumbles = 1
    told: list[str] = []

    folder = fetch(f"{site.url}/data.tgz", "", tmp_path, told.append)

    assert (folder / "cats/1.png").exists()
    assert any("trying again" in line for line in told)


@pytest.mark.parametrize("code", [404, 403, 401, 410])
def test_what_is_not_there_is_the_user_s_error_at_once(site, tmp_path, code):
    site.codes["/gone.tgz"] = code

    error = failed(f"{site.url}/gone.tgz", tmp_path)

    assert error.reason == Reason.DATA_NOT_FOUND
    assert error.exit_code == ExitCode.USER_ERROR
    assert "/gone.tgz" in str(error)
    assert error.outcome().hint


def test_redirects_without_end_are_the_users_error_at_once(site, tmp_path):
    site.codes["/round.tgz"] = 302
    error = failed(f"{site.url}/round.tgz", tmp_path)

    assert error.exit_code == ExitCode.USER_ERROR
    assert "without end" in str(error)


def test_a_file_that_changed_while_it_was_fetched_is_fetched_again(site, tmp_path):
    site.files["/data.tgz"] = ARCHIVES["tgz"]
    site.tags = ['"old"', '"old"', '"new"', '"new"']
    told: list[str] = []
    fetch(f"{site.url}/data.tgz", "", tmp_path, told.append)

    assert any("changed while it was fetched" in line for line in told)


def test_a_file_that_changes_all_the_time_is_given_up(site, tmp_path):
    site.files["/data.tgz"] = ARCHIVES["tgz"]
    site.tags = [f'"{number}"' for number in range(100)]
    error = failed(f"{site.url}/data.tgz", tmp_path)

    assert error.reason == Reason.DATA_NOT_READABLE
    assert "changed 3 times" in str(error)


@pytest.mark.parametrize("code", [500, 503])
def test_a_server_in_trouble_is_asked_again_and_is_not_the_user_s_error(site, tmp_path, monkeypatch, code):
    monkeypatch.setattr("autotrain_trainer.data.fetch.FIRST_WAIT_SECONDS", 0.0)
    site.codes["/data.tgz"] = code

    error = failed(f"{site.url}/data.tgz", tmp_path)

    assert error.reason == Reason.DATA_NOT_READABLE
    assert error.exit_code not in (ExitCode.OK, ExitCode.USER_ERROR)


def test_where_nobody_answers_is_asked_again(tmp_path, monkeypatch):
    monkeypatch.setattr("autotrain_trainer.data.fetch.FIRST_WAIT_SECONDS", 0.0)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    assert failed(f"http://127.0.0.1:{port}/data.tgz", tmp_path).reason == Reason.DATA_NOT_READABLE


def test_a_path_that_is_not_there_is_the_user_s_error(tmp_path):
    assert failed(f"file://{tmp_path}/none", tmp_path).reason == Reason.DATA_NOT_FOUND


def test_another_digest_is_told_with_both(tmp_path):
    error = failed(archived(ARCHIVES["tgz"], tmp_path), tmp_path, "0" * 64)

    assert error.reason == Reason.DATA_DIGEST_MISMATCH
    assert hashlib.sha256(ARCHIVES["tgz"]).hexdigest() in str(error)
    assert "0" * 64 in str(error)


def test_a_folder_cannot_be_pinned(tmp_path):
    assert failed(f"file://{tmp_path}", tmp_path, "0" * 64).reason == Reason.DATA_DIGEST_MISMATCH


def test_threads_that_fetch_end_when_the_fetch_is_over():
    told = Told(100, silent)
    told.add(1)
    told.stop()

    with pytest.raises(Terminated):
        told.add(1)


# --- archives that are none, or want out


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>not found</html>",
        ARCHIVES["tgz"][:60],
        ARCHIVES["txz"][:100],
        ARCHIVES["zip"][:-30],
        ARCHIVES["tar"][:700],
    ],
    ids=["empty", "a page", "cut tgz", "cut txz", "cut zip", "cut tar"],
)
def test_an_archive_that_is_none_is_told(content, tmp_path):
    error = failed(archived(content, tmp_path), tmp_path)

    assert error.reason == Reason.DATA_ARCHIVE_INVALID
    assert error.exit_code == ExitCode.USER_ERROR


def test_a_damaged_member_is_told(tmp_path):
    content = bytearray(zip_of({"a.png": os.urandom(1000)}))
    content[500] ^= 0xFF

    assert failed(archived(bytes(content), tmp_path), tmp_path).reason == Reason.DATA_ARCHIVE_INVALID


UNSAFE = {
    "tar, parent": tar_of({"../evil": b""}),
    "tar, hidden parent": tar_of({"a/../../evil": b""}),
    "tar, absolute": tar_of({"/tmp/evil": b""}),
    "tar, absolute link": tar_of({}, links={"link": "/etc"}),
    "tar, link to the parent": tar_of({}, links={"a/link": "../../etc"}),
    "tar, hard link out": tar_of({}, links={"link": "../../etc/passwd"}, kind=tarfile.LNKTYPE),
    "tar, device": tar_of({}, links={"null": ""}, kind=tarfile.CHRTYPE),
    "tar, pipe": tar_of({}, links={"pipe": ""}, kind=tarfile.FIFOTYPE),
    "zip, parent": zip_of({"../evil": b""}),
    "zip, windows parent": zip_of({"..\\evil": b""}),
    "zip, absolute": zip_of({"/tmp/evil": b""}),
    "zip, link": zip_of({}, link="/etc"),
}


@pytest.mark.parametrize("kind", UNSAFE)
def test_an_archive_that_wants_out_is_refused_before_anything_is_written(kind, tmp_path):
    error = failed(archived(UNSAFE[kind], tmp_path), tmp_path / "work")

    assert error.reason == Reason.DATA_ARCHIVE_UNSAFE
    assert error.exit_code == ExitCode.USER_ERROR
    assert list((tmp_path / "work/data").iterdir()) == []


def test_a_link_that_stays_inside_is_followed(tmp_path):
    content = tar_of(PICTURES, links={"cats/same.png": "../dogs/2.png"})
    if hasattr(tarfile, "data_filter"):
        assert unpacked(content, tmp_path)["cats/same.png"] == b"two"
    else:  # Python before 3.11.4
        assert failed(archived(content, tmp_path), tmp_path / "work").reason == Reason.DATA_ARCHIVE_UNSAFE


STEPS = st.lists(st.sampled_from(["..", ".", "a", "b", "", "/", "link"]), min_size=1, max_size=5).map("/".join)


@given(names=st.lists(STEPS, max_size=4), links=st.dictionaries(STEPS, STEPS, max_size=4), hard=st.booleans())
def test_no_tar_archive_writes_outside_of_its_folder(names, links, hard, tmp_path_factory):
    work = tmp_path_factory.mktemp("tar")
    content = tar_of(dict.fromkeys(names, b"x"), "w", links, tarfile.LNKTYPE if hard else tarfile.SYMTYPE)
    try:
        fetch(archived(content, work), "", work, silent)
    except RunError as error:
        if error.reason not in (Reason.DATA_ARCHIVE_UNSAFE, Reason.DATA_ARCHIVE_INVALID):
            raise

    assert {path.name for path in work.iterdir()} <= {"archive", "data"}
    assert all(Path(os.path.realpath(path)).is_relative_to(work / "data") for path in (work / "data").rglob("*"))


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(RunError, match="neither a folder nor a file") as caught:
        fetch(f"file://{tmp_path}/pipe", "", tmp_path / "work", silent)
    assert caught.value.exit_code == ExitCode.USER_ERROR


def test_a_path_that_is_too_long_is_the_user_s_error(tmp_path):
    with pytest.raises(RunError, match="name too long") as caught:
        fetch(f"file:///{'x' * 1000}", "", tmp_path, silent)
    assert caught.value.exit_code == ExitCode.USER_ERROR
