"""AutoTrain configs for tests of the converter, and what becomes of them."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from autotrain_cli.convert import Conversion, Request, convert
from autotrain_cli.functions import read_functions
from autotrain_cli.problems import InputError

DATA = Path(__file__).parent / "unit/data"
FRUIT = (DATA / "fruit.ini").read_text()
FUNCTIONS = read_functions("custom_functions.py", (DATA / "fruit_functions.py.txt").read_bytes())
SMALL = """
[project]
name = pets
type = {task}
data_source_url = https://example.org/pets.zip
[architecture]
backbone = {backbone}
[training]
dir = ~/data/pets
{training}
"""
CLASSES = "[training.scheme]\n"


def converted(text: str, **options: Any) -> Conversion:
    return convert(Request("config.ini", text, home="/home/me", folder="/home/me/AutoTrain", **options))


def spec_of(text: str, **options: Any) -> dict[str, Any]:
    return job_of(converted(text, **options).text)["spec"]


def job_of(text: str) -> dict[str, Any]:
    return list(yaml.safe_load_all(text))[-1]


def small(training: str = "", task: str = "classification", backbone: str = "resnet18") -> str:
    return SMALL.format(task=task, backbone=backbone, training=training)


def problems_of(text: str, **options: Any) -> list[str]:
    with pytest.raises(InputError) as caught:
        converted(text, **options)
    return [problem.describe("config.ini") for problem in caught.value.problems]


def unused(text: str, key: str) -> str:
    """The line that tells why a key is not used."""
    return next(line for line in text.splitlines() if re.match(rf"#   line \d+: {re.escape(key)} = ", line))
