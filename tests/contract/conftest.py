"""What several contract tests share: an S3 API, and a way to it that a test can disturb."""

import os
from collections.abc import Iterator

import pytest

from object_store import ENVIRONMENT, SETTINGS, Bucket, Way, moto, way_to


@pytest.fixture(scope="session")
def bucket() -> Iterator[Bucket]:
    with moto() as made:
        yield made


@pytest.fixture
def way(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[Way]:
    """The way to the store, which the environment of this process leads to."""
    for name in [name for name in os.environ if name.startswith(SETTINGS)]:
        monkeypatch.delenv(name)
    with way_to(bucket.port) as made:
        for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL": made.url}.items():
            monkeypatch.setenv(name, value)
        yield made
