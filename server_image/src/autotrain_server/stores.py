"""Stores of objects, s3://, gs://, az://, https://: the one place that opens them, and says what is wrong with them.

obstore does the work. Credentials and endpoints come from the environment (AWS_..., GOOGLE_..., AZURE_...) or the platform.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from enum import Enum
from typing import Any
from urllib.parse import urlsplit

SCHEMES = ("s3", "gs", "az", "https", "http")
SETTINGS = {"s3": "AWS_", "gs": "GOOGLE_", "az": "AZURE_"}
"""Scheme -> how the names of its settings begin."""
ENDPOINTS = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT", "GOOGLE_BASE_URL", "AZURE_ENDPOINT")
CLIENT: Any = {"timeout": "12 h", "connect_timeout": "10 s", "read_timeout": "60 s"}
"""A large object may take hours, silence may not."""
RETRIES: Any = {"max_retries": 5, "retry_timeout": timedelta(seconds=60)}
STATUS = re.compile(r"status code: (\d{3})")
IDENTITY_SERVICES = ("/latest/api/token", "/latest/meta-data", "169.254.170.2", "/computeMetadata/")
"""Asked for credentials when the environment has none."""
USELESS = ("credential error", "URL error", "Missing", "Could not parse path", "error following redirect")
"""In what obstore says without a status: asking again brings the same."""
PANIC = "PanicException"
"""What the Rust code raises where it did not think of a value; it has no module, and is no Exception."""
LONGEST = 300


class Kind(Enum):
    """What is wrong: whether to look elsewhere, to ask for access, to begin again, or to wait."""

    ABSENT = "absent"
    REFUSED = "refused"
    CHANGED = "changed"
    UNREACHABLE = "unreachable"


class StoreError(Exception):
    """What a store answers instead of an object; the message has the URI in it, and never a credential."""

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def open_store(uri: str) -> Any:
    """The store behind `uri`; objects in it are named relative to `uri`. Raises StoreError."""
    from obstore import store  # 0.2 s, for those alone whose objects are elsewhere

    from_url: Any = store.from_url  # its types allow no options that are made here
    check_form(uri)
    plain = uri.startswith("http://") or any(os.environ.get(name, "").startswith("http://") for name in ENDPOINTS)
    check_environment(uri)
    with told(uri):
        return from_url(uri, client_options={**CLIENT, "allow_http": plain}, retry_config=RETRIES)


def check_form(uri: str) -> None:
    """Parts of a URI that a store would overlook are not what somebody meant. Raises StoreError."""
    parts = urlsplit(uri)
    if parts.scheme in ("http", "https"):
        return
    if "@" in parts.netloc or ":" in parts.netloc:
        wanted = f"{parts.scheme}://bucket/name is wanted; keys and endpoints are settings of the environment"
        raise StoreError(Kind.REFUSED, f"{parts.scheme}://.../{parts.path.lstrip('/')}: {wanted}")
    if parts.query or parts.fragment:
        raise StoreError(Kind.REFUSED, f"{uri}: in a name, ? is written as %3F and # as %23")


def check_environment(uri: str) -> None:
    """Settings that cannot be right, by name: a Secret made of a file often ends with a new line. Raises StoreError."""
    ours = SETTINGS.get(urlsplit(uri).scheme)
    if ours is None:
        return
    for name, value in os.environ.items():
        if name.startswith(ours) and name != "GOOGLE_SERVICE_ACCOUNT_KEY" and not is_plain(value):
            message = f"{uri}: {name} has white space at an end, or other characters that a header cannot carry"
            raise StoreError(Kind.REFUSED, message)
    for name in ENDPOINTS:
        endpoint = os.environ.get(name, "")
        if (
            endpoint
            and name.startswith(ours)
            and (urlsplit(endpoint).scheme not in ("http", "https") or not urlsplit(endpoint).hostname)
        ):
            message = f"{uri}: {name} is {endpoint!r}; a URL that begins with https:// or http:// is wanted"
            raise StoreError(Kind.REFUSED, message)


def is_plain(value: str) -> bool:
    """Whether a header can carry it."""
    return value == value.strip() and value.isprintable() and value.isascii()


@contextmanager
def told(uri: str) -> Iterator[None]:
    """What obstore raises in here becomes a StoreError about `uri`."""
    from obstore import exceptions

    try:
        yield
    except FileNotFoundError as error:
        raise StoreError(Kind.ABSENT, f"{uri}: {_absence(str(error))}") from error
    except exceptions.PreconditionError as error:
        raise StoreError(Kind.CHANGED, f"{uri} changed while it was read") from error
    except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError) as error:
        raise StoreError(Kind.REFUSED, f"{uri}: access is denied ({_status(error) or 'no rights'})") from error
    except exceptions.InvalidPathError as error:
        raise StoreError(Kind.REFUSED, f"{uri}: an object's name is not usable: {short(error)}") from error
    except (exceptions.BaseError, ValueError) as error:
        raise _of_words(uri, error) from error
    except BaseException as error:
        if type(error).__name__ != PANIC:
            raise
        raise StoreError(Kind.REFUSED, f"{uri}: a setting of the environment cannot be used: {short(error)}") from error


def _of_words(uri: str, error: Exception) -> StoreError:
    """obstore has one type for everything else; its text knows the status and who was asked."""
    text, status = str(error), _status(error)
    if status == 404:
        return StoreError(Kind.ABSENT, f"{uri}: {_absence(text)}")
    if any(service in text for service in IDENTITY_SERVICES):
        wanted = "GOOGLE_SERVICE_ACCOUNT_KEY" if uri.startswith("gs:") else "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY"
        return StoreError(Kind.REFUSED, f"{uri}: there are no credentials: {wanted} is not in the environment")
    if "incorrectly configured region" in text or 300 <= status < 400:
        return StoreError(Kind.REFUSED, f"{uri}: the bucket is in another region; AWS_REGION says which")
    refused = 400 <= status < 500 and status not in (408, 416, 429)
    unusable = not status and any(words in text for words in USELESS)
    return StoreError(Kind.REFUSED if refused or unusable else Kind.UNREACHABLE, f"{uri}: {short(error)}")


def _absence(text: str) -> str:
    return "there is no such bucket" if "NoSuchBucket" in text else "there is no such object"


def _status(error: Exception) -> int:
    """The HTTP status that the error tells of, or 0."""
    found = STATUS.search(str(error))
    return int(found[1]) if found else 0


def short(error: BaseException) -> str:
    """The first line."""
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:LONGEST]
