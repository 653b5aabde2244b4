"""What is wrong with the input, each with its place: all of it is told at once."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """`text` says what was found and what is allowed; `key` is a path such as training.scheme.epochs."""

    line: int | None
    key: str
    text: str
    file: str = ""
    """Absent: the config."""

    def describe(self, config: str) -> str:
        place = self.file or config
        if self.line is not None:
            place += f":{self.line}"
        return f"{place}: {self.key}: {self.text}" if self.key else f"{place}: {self.text}"


class InputError(Exception):
    """Input that cannot be converted; a person has to change it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(problem.describe("") for problem in problems))
        self.problems = list(problems)
