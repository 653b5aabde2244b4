"""What several contract tests share: an S3 API."""

from collections.abc import Iterator

import pytest

from object_store import Bucket, moto


@pytest.fixture(scope="session")
def bucket() -> Iterator[Bucket]:
    with moto() as made:
        yield made
