"""A bundle that lies elsewhere -> a folder here, whole and with the right digests, or not at all.

The manifest comes first and is compared with the expected digest; then every file that it lists, compared with its own
digest while it is written. A folder gets its name when all of it is there, so that one killed half way is never taken for
whole.
"""

import hashlib
import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from autotrain_api import bundle
from autotrain_api.names import Reason
from autotrain_server import stores
from autotrain_server.reading import BundleError, parsed, read_verified
from autotrain_server.stores import SCHEMES, Kind, StoreError

log = logging.getLogger(__name__)

PARTIAL = ".partial-"
HINT = "Check the URI, the network, and the credentials in the pod's environment."


def folder_of(place: str, sha256: str, cache: Path) -> Path:
    """The bundle's folder; what is not here yet is fetched into `cache`. Raises BundleError."""
    scheme = urlsplit(place).scheme
    if scheme == "file":
        return Path(unquote(urlsplit(place).path))
    if "://" not in place:
        return Path(place)
    if scheme not in SCHEMES:
        allowed = ", ".join(f"{name}://" for name in SCHEMES)
        raise BundleError(Reason.BUNDLE_UNREACHABLE, "", f"{place}: a folder, or one of {allowed}, is wanted", HINT)
    target = cache / hashlib.sha256(f"{place} {sha256}".encode()).hexdigest()[:16]
    return target if sha256 and _whole(target, sha256) else fetch(place, sha256, target)


def _whole(folder: Path, sha256: str) -> bool:
    """Whether an earlier start left the bundle there, and nothing happened to it since."""
    try:
        read_verified(folder, sha256)
    except BundleError as error:
        if folder.exists():
            log.warning("the copy here is fetched again", extra={"file": error.file, "detail": str(error)})
        return False
    return True


def is_elsewhere(place: str) -> bool:
    """Whether it has to be fetched from a store."""
    return urlsplit(place).scheme in SCHEMES


def fetch(uri: str, sha256: str, target: Path) -> Path:
    """Bring a whole bundle to `target`. Raises BundleError."""
    target.parent.mkdir(parents=True, exist_ok=True)
    for left in target.parent.glob(f"{target.name}{PARTIAL}*"):
        shutil.rmtree(left, ignore_errors=True)
    partial = Path(tempfile.mkdtemp(prefix=f"{target.name}{PARTIAL}", dir=target.parent))
    try:
        _bring(uri, sha256, partial)
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def _bring(uri: str, sha256: str, folder: Path) -> None:
    with _told(uri, "", f"{uri} is not there"):
        store = stores.open_store(uri)
    content = _read(store, uri, bundle.MANIFEST)
    found = hashlib.sha256(content).hexdigest()
    if sha256 and found != sha256:
        message = f"sha256 of manifest.json is {found}, the trained one had {sha256}"
        raise BundleError(Reason.BUNDLE_ALTERED, bundle.MANIFEST, message)
    manifest = parsed(content)
    for name, expected in manifest.files.items():
        _copy(store, uri, name, expected, folder)
    (folder / bundle.MANIFEST).write_bytes(content)
    log.info("bundle fetched", extra={"uri": uri, "files": len(manifest.files), "revision": manifest.revision})


def _read(store: Any, uri: str, name: str) -> bytes:
    import obstore

    with _told(uri, name, f"there is no {name} at {uri}: not a bundle, or unfinished"):
        return bytes(obstore.get(store, name).bytes())


def _copy(store: Any, uri: str, name: str, sha256: str, folder: Path) -> None:
    """One file, in parts, with its digest. Raises BundleError."""
    import obstore

    path = folder / inside(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with _told(uri, name, f"{name} is missing at {uri}"), path.open("wb") as file:
        for part in obstore.get(store, name):
            digest.update(part)
            file.write(part)
    if digest.hexdigest() != sha256:
        message = f"sha256 of {name} is {digest.hexdigest()}, the manifest says {sha256}"
        raise BundleError(Reason.BUNDLE_ALTERED, name, message)


@contextmanager
def _told(uri: str, name: str, absent: str) -> Iterator[None]:
    """What the store says in here becomes a BundleError about the file `name`."""
    try:
        with stores.told(uri):
            yield
    except StoreError as error:
        if error.kind is Kind.ABSENT:
            raise BundleError(Reason.BUNDLE_INCOMPLETE, name, absent) from error
        raise BundleError(Reason.BUNDLE_UNREACHABLE, name, str(error), HINT) from error


def inside(name: str) -> PurePosixPath:
    """The name of a file in the bundle as a path that stays there. Raises BundleError."""
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
        raise BundleError(Reason.BUNDLE_ALTERED, bundle.MANIFEST, f"{name!r} is no name of a file in a bundle")
    return path
