"""A bundle that goes into an object store: made in a folder, then uploaded with its manifest last.

What earlier attempts decided lies beside it in the store, as it lies beside a bundle on a claim.
"""

import contextlib
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import obstore

from autotrain_api import bundle
from autotrain_api.names import Reason, Stage
from autotrain_api.outcome import Succeeded
from autotrain_server import fetching, stores
from autotrain_server.reading import BundleError
from autotrain_server.stores import Kind, StoreError
from autotrain_trainer.failures import RunError
from autotrain_trainer.output import find_finished, work_folder
from autotrain_trainer.retrying import Answer, GaveUpError, retry

log = logging.getLogger(__name__)

AT_ONCE = 4
"""Files that are uploaded at the same time; large ones go in parts, twelve at a time."""
PROBE = ".writable"
ATTEMPTS = 14
FIRST_WAIT_SECONDS = 0.5
"""Doubled each time, up to a minute: a store may be away for ten, and hours of training are not lost."""


class StoreOutput:
    """`uri` is the revision's own place: s3://bucket/.../revision. The run writes to a folder below `work`."""

    def __init__(self, uri: str, work: Path) -> None:
        self.uri = uri.rstrip("/")
        home, _, revision = self.uri.rpartition("/")
        self.folder = work / revision
        self._work = work_folder(self.folder)
        self._work_uri = f"{home}/{self._work.name}"
        self._found = work / "found"

    def find_finished(self, revision: str) -> Succeeded | None:
        """Fetches it: what is taken was compared with its digests. Raises RunError where the store does not answer."""
        try:
            fetching.fetch(self.uri, "", self._found)
        except BundleError as error:
            if isinstance(error.__cause__, StoreError) and error.__cause__.kind is not Kind.ABSENT:
                raise _failed(error.__cause__) from error
            return None
        return find_finished(self._found, revision)

    def prepare(self) -> None:
        """An object is written and taken away again; what lies in the store's work folder comes here."""
        self._work.mkdir(parents=True, exist_ok=True)
        store = self._open(self._work_uri)
        self._do(lambda: obstore.put(store, PROBE, b""), self._work_uri)
        self._do(lambda: obstore.delete(store, PROBE), self._work_uri)
        for name in self._do(lambda: _names(store), self._work_uri):
            self._bring(store, name)

    def _bring(self, store: Any, name: str) -> None:
        """A file of the store's work folder."""
        path = self._work / fetching.inside(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self._do(lambda: bytes(obstore.get(store, name).bytes()), self._work_uri))

    def keep(self, path: Path) -> None:
        """Upload it to the store's work folder."""
        name = path.relative_to(self._work).as_posix()
        store = self._open(self._work_uri)
        self._do(lambda: obstore.put(store, name, path), self._work_uri)

    def publish(self) -> None:
        """Files, then the manifest. What else lies there, and the work folder, are taken away."""
        store = self._open(self.uri)
        self._do(lambda: _delete(store, [bundle.MANIFEST]), self.uri)  # half of another bundle is none
        files = sorted(bundle.read_manifest(self.folder).files)
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="upload") as threads:
            list(threads.map(lambda name: self._put(store, name), files))
        self._put(store, bundle.MANIFEST)
        left = set(self._do(lambda: _names(store), self.uri)) - {*files, bundle.MANIFEST}
        self._do(lambda: _delete(store, sorted(left)), self.uri)
        work = self._open(self._work_uri)
        self._do(lambda: _delete(work, _names(work)), self._work_uri)

    def _put(self, store: Any, name: str) -> None:
        self._do(lambda: obstore.put(store, name, self.folder / name), f"{self.uri}/{name}")

    def _open(self, uri: str) -> Any:
        try:
            return stores.open_store(uri)
        except StoreError as error:
            raise _failed(error) from error

    def _do(self, step: Callable[[], Answer], uri: str) -> Answer:
        """What `step` returns; tried again while the store cannot be reached. Raises RunError."""

        def once() -> Answer:
            try:
                with stores.told(uri):
                    return step()
            except StoreError as error:
                if error.kind is Kind.UNREACHABLE:
                    raise
                raise _failed(error) from error

        def again(error: Exception) -> None:
            log.warning("%s; trying again", error)

        try:
            return retry(once, ATTEMPTS, FIRST_WAIT_SECONDS, again, (RunError,))
        except GaveUpError as error:
            raise RunError(Stage.EXPORT, Reason.BUNDLE_UNREACHABLE, f"{uri}: {error}") from error


def _failed(error: StoreError) -> RunError:
    """A store that is in trouble may get well; what it refuses is for a person to put right."""
    reason = Reason.BUNDLE_UNREACHABLE if error.kind is Kind.UNREACHABLE else Reason.OUTPUT_NOT_WRITABLE
    return RunError(Stage.EXPORT, reason, str(error))


def _names(store: Any) -> list[str]:
    """Of all objects in it."""
    return [meta["path"] for chunk in obstore.list(store) for meta in chunk if meta["path"]]


def _delete(store: Any, names: list[str]) -> None:
    """Take objects away; one that is not there is fine."""
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            obstore.delete(store, name)
