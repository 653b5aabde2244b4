"""A bundle's folder -> its manifest, once every file has the digest that the manifest says."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pydantic import ValidationError

from autotrain_api import bundle
from autotrain_api.bundle import Manifest
from autotrain_api.names import Reason

HASHERS = 4
"""Threads that compute digests; hashing holds no lock."""


class BundleError(Exception):
    """A bundle that must not answer. `reason` is a Reason, `file` the path inside the bundle, `hint` what to do."""

    def __init__(self, reason: Reason, file: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.file = file
        self.hint = hint

    def told(self) -> str:
        """The message for whoever does not see `file` and `hint`."""
        message = str(self) if not self.file or self.file in str(self) else f"{self.file}: {self}"
        return f"{message}. {self.hint}" if self.hint else message


def read_verified(folder: Path, sha256: str | None = None) -> tuple[Manifest, str]:
    """The manifest whose digests every file matches, and its own digest. Raises BundleError."""
    path = folder / bundle.MANIFEST
    if not path.is_file():
        raise BundleError(Reason.BUNDLE_INCOMPLETE, bundle.MANIFEST, f"there is no {path}: not a bundle, or unfinished")
    if not path.resolve().is_relative_to(folder.resolve()):
        raise BundleError(Reason.BUNDLE_ALTERED, bundle.MANIFEST, "manifest.json is a link out of the bundle")
    digest = bundle.sha256_of(path)
    if sha256 and digest != sha256:
        raise BundleError(
            Reason.BUNDLE_ALTERED, bundle.MANIFEST, f"sha256 of manifest.json is {digest}, the trained one had {sha256}"
        )
    manifest = parsed(path.read_bytes())
    with ThreadPoolExecutor(HASHERS, thread_name_prefix="digest") as threads:
        list(threads.map(lambda entry: _verify(folder, *entry), manifest.files.items()))
    for name in (bundle.MODEL, bundle.GOLDEN_INPUTS, bundle.GOLDEN_SCORES):
        if name not in manifest.files:
            raise BundleError(Reason.BUNDLE_INCOMPLETE, name, f"{name} is not listed in manifest.json")
    return manifest, digest


def parsed(content: bytes) -> Manifest:
    """The manifest in the content of its file. Raises BundleError."""
    try:
        return Manifest.model_validate_json(content)
    except ValidationError as error:
        problems = {".".join(str(step) for step in problem["loc"]): problem for problem in error.errors()}
    if "schemaVersion" in problems:
        raise BundleError(
            Reason.SCHEMA_UNSUPPORTED,
            bundle.MANIFEST,
            f"manifest.json: schemaVersion is {problems['schemaVersion']['input']!r}, "
            f"this server reads {bundle.SCHEMA_VERSION}",
            "Serve it with the server of the release that trained it.",
        )
    place, first = next(iter(problems.items()))
    raise BundleError(Reason.BUNDLE_ALTERED, bundle.MANIFEST, f"manifest.json: {place or 'the file'}: {first['msg']}")


def _verify(folder: Path, name: str, expected: str) -> None:
    path = folder / name
    try:
        if not path.resolve().is_relative_to(folder.resolve()):
            raise BundleError(Reason.BUNDLE_ALTERED, name, f"{name} lies outside of the bundle")
        if not path.is_file():
            raise BundleError(
                Reason.BUNDLE_INCOMPLETE, name, f"{name or 'a file without a name'} is missing from the bundle"
            )
        found = bundle.sha256_of(path)
    except (OSError, ValueError, RuntimeError) as error:  # a name that is none, a loop of links, no permission
        raise BundleError(Reason.BUNDLE_ALTERED, name, f"{name!r} cannot be read: {error}") from error
    if found != expected:
        raise BundleError(Reason.BUNDLE_ALTERED, name, f"sha256 of {name} is {found}, the manifest says {expected}")
