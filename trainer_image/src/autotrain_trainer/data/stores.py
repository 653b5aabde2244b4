"""Data of an object store, s3:// and gs://: one object that is a file, or all objects below a prefix that are a folder."""

import hashlib
import shutil
from collections.abc import Callable, Iterator, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import obstore

from autotrain_api.names import Reason
from autotrain_server import stores
from autotrain_server.stores import Kind, StoreError
from autotrain_trainer.data.fetch import (
    CHUNK,
    ChangedError,
    Report,
    Told,
    check_name,
    check_room,
    failure,
    persist,
)
from autotrain_trainer.retrying import Answer

AT_ONCE = 16
"""Objects of a folder that are fetched at the same time."""
LONGEST_NAME = 255
"""Bytes of one step of a path on usual file systems."""


@dataclass(frozen=True)
class Object:
    """As the store tells of it. `key` is its whole name, `name` where it goes in the folder; a single object has none."""

    key: str
    name: str
    size: int
    tag: str
    """ETag; empty when there is none."""


@dataclass(frozen=True)
class Objects:
    """What lies behind a URI: one object without a name, or several with names."""

    uri: str
    store: Any
    found: Sequence[Object]

    @property
    def version(self) -> str:
        """Digest of names, sizes and ETags."""
        text = "\n".join(f"{one.name} {one.size} {one.tag}" for one in sorted(self.found, key=lambda one: one.name))
        return hashlib.sha256(text.encode()).hexdigest()

    def bring(self, target: Path, report: Report) -> Path:
        """To the file or folder `target`; goes on with what is there of the same version. Raises RunError, ChangedError."""
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.parent / f"{target.name}.{self.version[:12]}.partial"
        for old in target.parent.glob(f"{target.name}.*.partial"):
            if old != partial:
                _remove(old)
        check_room(sum(one.size for one in self.found), target.parent, self.uri)
        told = Told(sum(one.size for one in self.found), report)
        if self.found[0].name:
            self._bring_all(partial, told)
        else:
            self._bring_one(self.found[0], partial, told)
        _remove(target)
        partial.rename(target)
        return target

    def _bring_all(self, folder: Path, told: Told) -> None:
        folder.mkdir(exist_ok=True)
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="fetch") as threads:
            running = [threads.submit(self._bring_member, one, folder / one.name, told) for one in self.found]
            try:
                for done in running:
                    done.result()
            except BaseException:
                told.stop()
                threads.shutdown(cancel_futures=True)
                raise

    def _bring_member(self, one: Object, path: Path, told: Told) -> None:
        if path.is_file() and path.stat().st_size == one.size:
            return told.add(one.size)
        path.parent.mkdir(parents=True, exist_ok=True)
        half = path.parent / f".{hashlib.sha256(path.name.encode()).hexdigest()[:16]}.half"
        self._bring_one(one, half, told)
        half.rename(path)
        return None

    def _bring_one(self, one: Object, path: Path, told: Told) -> None:
        told.add(_size(path))
        uri = f"{self.uri.rstrip('/')}/{one.name}" if one.name else self.uri
        persist(lambda: self._append(one, path, uri, told), lambda: _size(path), uri, told.report)

    def _append(self, one: Object, path: Path, uri: str, told: Told) -> None:
        """What is missing of it, if it is still the same object."""
        if _size(path) > one.size:
            path.unlink()  # whatever that is
        have = _size(path)
        with path.open("ab") as file:
            if have < one.size:
                with refusals(uri, found=True):
                    for part in self._parts(one, have):
                        file.write(part)
                        told.add(len(part))
        if (found := _size(path)) != one.size:
            raise ConnectionError(f"{found} of {one.size} bytes arrived")

    def _parts(self, one: Object, offset: int) -> Any:
        options: Any = {"if_match": one.tag} if one.tag else {}
        if offset:
            options["range"] = {"offset": offset}
        answer = obstore.get(self.store, one.key, options=options)
        if answer.meta["size"] != one.size or (one.tag and answer.meta["e_tag"] not in (None, one.tag)):
            raise ChangedError
        return answer.stream(min_chunk_size=CHUNK)


def locate_objects(uri: str) -> Objects:
    """The object that `uri` names, or else those below it as a folder. Raises RunError."""
    located(lambda: stores.check_form(uri), uri)
    parts = urlsplit(uri)
    key = unquote(parts.path).strip("/")
    found: list[Object] = []
    store = located(lambda: stores.open_store(f"{parts.scheme}://{parts.netloc}"), uri)
    if key and not parts.path.endswith("/"):
        found = located(lambda: _single(store, key, uri), uri)
    if not found:
        found = located(lambda: _below(store, key, uri), uri)
    if not found:
        raise failure(Reason.DATA_NOT_FOUND, f"{uri}: there is neither an object {key!r} nor any below {key + '/'!r}")
    return Objects(uri, store, found)


def located(ask: Callable[[], Answer], uri: str) -> Answer:
    """What `ask` returns; asked again while the store cannot be reached. Raises RunError."""

    def once() -> Answer:
        with refusals(uri):
            return ask()

    return persist(once, lambda: 0, uri, lambda _: None)


@contextmanager
def refusals(uri: str, found: bool = False) -> Iterator[None]:
    """What a store says in here: RunError when asking again is useless, ChangedError, or StoreError to try again.

    `found`: it was there a moment ago.
    """
    try:
        with stores.told(uri):
            yield
    except StoreError as error:
        if error.kind is Kind.CHANGED or (found and error.kind is Kind.ABSENT):
            raise ChangedError from error
        if error.kind is Kind.UNREACHABLE:
            raise
        raise failure(Reason.DATA_NOT_FOUND, str(error)) from error


def _single(store: Any, key: str, uri: str) -> list[Object]:
    """The object of that very name, if there is one. Raises RunError and StoreError."""
    try:
        with stores.told(uri):
            meta = obstore.head(store, key)
    except StoreError as error:
        if error.kind is Kind.ABSENT:
            return []
        raise
    return [Object(key, "", meta["size"], meta["e_tag"] or "")]


def _below(store: Any, key: str, uri: str) -> list[Object]:
    """The objects below `key`, as files of a folder. Raises RunError and StoreError."""
    start = len(key) + 1 if key else 0
    listed = [meta for chunk in obstore.list(store, prefix=key or None) for meta in chunk]
    objects = [Object(meta["path"], meta["path"][start:], meta["size"], meta["e_tag"] or "") for meta in listed]
    folders = {str(parent) for one in objects for parent in PurePosixPath(one.name).parents}
    files = [one for one in objects if one.name and not (one.size == 0 and one.name in folders)]
    for one in files:
        _check(one, folders, uri)
    return files


def _check(one: Object, folders: Set[str], uri: str) -> None:
    """Raises RunError for a name that no folder can hold, or that leads out of it."""
    check_name(one.name, uri)
    steps = one.name.split("/")
    if one.name in folders:
        why = "is an object, and there are others below it"
    elif any(step in ("", ".") or "\0" in step or len(step.encode()) > LONGEST_NAME for step in steps):
        why = "is no name of a file"
    else:
        return
    raise failure(Reason.DATA_ARCHIVE_UNSAFE, f"{uri}: {one.key!r} {why}; copy it to another name")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
