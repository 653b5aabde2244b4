"""The table of states in ARCHITECTURE.md is what the operator does."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import states


def test_the_table_of_states_is_true() -> None:
    assert states.ARCHITECTURE.read_text(encoding="utf-8") == states.written(), "run `make sync`"
