"""What the job's own load functions give, and how it is told when that cannot be used."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from autotrain_api.names import Reason, Stage
from autotrain_api.run import RunConfig
from autotrain_server.functions import FunctionError, load_functions
from autotrain_trainer.data.own_load import load_parts
from autotrain_trainer.data.samples import Parts
from autotrain_trainer.failures import translate
from autotrain_trainer.labels import label_sample
from autotrain_trainer.own_functions import OwnFunctions

pytestmark = pytest.mark.torch

SOURCE = """
from autotrain_server.functions import registry
from fastai.vision.all import *

@registry.load_function.register("mine")
def load(config):
{}
"""
PAIRS = "    return [('1.png', {}), ('2.png', 'b')]"


def loaded(body: str, folder: Path) -> Parts:
    for name in ("1.png", "2.png", "3.png"):
        Image.new("RGB", (8, 8)).save(folder / name)
    data: dict[str, Any] = {"uri": f"file://{folder}", "load": {"function": "mine"}}
    recipe = {"task": "Classification", "data": data, "model": {"backbone": "resnet18"}}
    facts = {"name": "a", "revision": "v1-0123456789", "recipe": recipe | {"functionsSha256": "0" * 64}}
    run = RunConfig.model_validate({**facts, "dataUri": data["uri"], "outputUri": "file:///none"})
    return load_parts(OwnFunctions(load_functions(SOURCE.format(body), "own.py")), run, folder, label_sample)


def test_pairs_become_samples(tmp_path):
    assert [sample.label for sample in loaded(PAIRS.format("1"), tmp_path).train] == ["1", "b"]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (
            "    yield '1.png', 'a'\n    raise ValueError('no more')",
            "own.py, line 8: load_function 'mine' gave generator that cannot be read: ValueError: no more; it has to give",
        ),
        (
            "    return {'train': (1 / 0 for _ in 'a')}",
            "own.py, line 7: load_function 'mine' gave dict that cannot be read: ZeroDivisionError",
        ),
        (
            "    return DataLoaders.from_dsets([('1.png', 'a')], [('2.png', 'b')], bs=1)",
            "own.py, line 5: load_function 'mine' gave DataLoaders without classes",
        ),
        (
            "    block = DataBlock((ImageBlock, RegressionBlock), get_items=lambda path: sorted(Path(path).iterdir()),\n"
            "        get_y=lambda path: float(path.stem))\n"
            "    return block.dataloaders(config.training.dir, bs=1, num_workers=0)",
            "own.py, line 5: load_function 'mine' gave DataLoaders without classes",
        ),
        (PAIRS.format("None"), "gave a list whose item 0 (1.png) has None for a label"),
        (PAIRS.format("float('nan')"), "gave a list whose item 0 (1.png) has nan for a label"),
        (
            "    return {'test': [('1.png', ['a', None])]}",
            "gave a dict whose 'test' is a list whose item 0 (1.png) has None",
        ),
    ],
)
def test_what_cannot_be_used_is_the_function_s_fault_and_told_with_its_place(tmp_path, body, told):
    with pytest.raises(FunctionError) as caught:
        loaded(body, tmp_path)

    assert told in str(caught.value)
    assert translate(caught.value, Stage.DATA).reason == Reason.FUNCTION_FAILED
