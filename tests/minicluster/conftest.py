"""What the tests of the machines share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from minicluster.world import World


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Controllers, kubelet and proxy over an API in this process."""
    async with World(tmp_path) as running:
        yield running
