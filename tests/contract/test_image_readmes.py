"""The images' READMEs name what the code has: settings, exit codes, layouts, reasons; and the backbones are timm's."""

import json
from importlib.resources import files
from pathlib import Path
from typing import get_args

import pytest

from autotrain_api.names import Reason
from autotrain_api.trainingjob import Layout
from autotrain_server.settings import Settings
from autotrain_server.uploads import MAX_PICTURES
from autotrain_trainer.failures import HINTS

ROOT = Path(__file__).parents[2]
SERVER = (ROOT / "server_image/README.md").read_text()
TRAINER = (ROOT / "trainer_image/README.md").read_text()


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_of_the_server_is_in_its_table(name):
    row = next(line for line in SERVER.splitlines() if line.startswith(f"| `AUTOTRAIN_{name.upper()}` |"))

    assert Settings.model_fields[name].description in row


def test_the_server_s_table_has_no_other_settings():
    named = {line.split("`")[1] for line in SERVER.splitlines() if line.startswith("| `AUTOTRAIN_")}

    assert named == {f"AUTOTRAIN_{name.upper()}" for name in Settings.model_fields}


def test_the_server_s_limit_of_pictures_is_told():
    assert f"{MAX_PICTURES} pictures" in SERVER


@pytest.mark.parametrize("layout", get_args(Layout))
def test_every_layout_is_described(layout):
    assert f"### {layout}" in TRAINER


@pytest.mark.parametrize("reason", HINTS)
def test_every_reason_of_a_failure_is_in_the_trainer_s_table(reason):
    assert f"`{Reason(reason)}`" in TRAINER


@pytest.mark.torch
def test_the_list_of_backbones_is_what_the_pinned_timm_has():
    from autotrain_trainer.backbones import listing

    assert json.loads(files("autotrain_api").joinpath("backbones.json").read_text()) == listing()
