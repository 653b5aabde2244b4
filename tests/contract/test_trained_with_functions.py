"""Own functions from spec to answer: loaded, learned with, carried in the bundle, and served. Idioms as AutoTrain has them."""

import json
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from autotrain_api import bundle
from autotrain_api.names import ExitCode, Reason
from autotrain_api.outcome import Failed
from autotrain_api.run import RunConfig
from autotrain_api.trainingjob import Postprocessing
from autotrain_server.app import create_app
from autotrain_server.model import Model
from autotrain_server.settings import Settings
from trained_model import attempt

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore:The 'mode.chained_assignment'")]
COLOURS = {"gold": (250, 210, 10), "navy": (10, 20, 120)}

TRAINING = """
from autotrain_server.functions import registry
from torch import nn

registry.create('preprocess_function')
registry.create('load_function')
registry.create('head')
registry.create('postprocess_function')

@registry.load_function.register('from_names')
def load_from_names():
    def load_data_bunch(config):
        from fastai.vision.all import CategoryBlock, DataBlock, FlipItem, FuncSplitter, ImageBlock, get_image_files
        dblock = DataBlock(
            blocks=(ImageBlock, CategoryBlock),
            splitter=FuncSplitter(lambda path: str(path.parent) == config.training.data.validation_dir),
            get_items=get_image_files,
            get_y=lambda path: path.stem.split('-')[0],
            item_tfms=[FlipItem(0.5)],
        )
        return dblock.dataloaders(config.training.dir, bs=config.training.scheme.batch_size, num_workers=2)
    return load_data_bunch

@registry.head.register("custom_head")
class custom_head(nn.Sequential):
    def __init__(self, head_input_size, num_classes, width=8):
        super().__init__()
        self.model = nn.Sequential(nn.Linear(head_input_size, width), nn.ReLU(inplace=True), nn.Linear(width, num_classes))
    def forward(self, x):
        return self.model(x)

@registry.augmentation.register('noise')
def noise(image):
    return image ^ 1
"""
SERVING = """
from autotrain_server.functions import registry
import numpy as np

@registry.preprocess_function.register("my_preprocess")
class Preprocess:
    def __init__(self, image_size):
        self.keep = np.ones((image_size, image_size, 1), np.uint8)
        self.keep[: image_size // 4] = 0
    def __call__(self, image):
        return image * self.keep if image.shape[:2] == self.keep.shape[:2] else image

@registry.postprocess_function.register('rename')
def post_process_function(names):
    def mapping(pred):
        pred['prediction'] = names[pred['prediction']]
        return pred
    return mapping
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """train/gold-0.png and so on: no layout of ours."""
    folder = tmp_path_factory.mktemp("names")
    for part, count in (("train", 24), ("validation", 8)):
        (folder / part).mkdir()
        for name, colour in COLOURS.items():
            for number in range(count):
                random = np.random.default_rng(number)
                pixels = np.clip(np.array(colour) + random.integers(-40, 40, (36, 36, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / part / f"{name}-{number}.png")
    return folder


def run_of(data: Path, output: Path, **changes: object) -> RunConfig:
    (output.parent / "functions.py").write_text(TRAINING)
    (output.parent / "serving_functions.py").write_text(SERVING)
    recipe = {
        "task": "Classification",
        "data": {"uri": f"file://{data}", "load": {"function": "from_names"}},
        "model": {
            "backbone": "test_resnet",
            "pretrained": False,
            "imageSize": 32,
            "head": {"function": "custom_head", "args": {"width": 16}},
        },
        "preprocessing": {"function": "my_preprocess"},
        "augmentation": {"function": "noise"},
        "training": {"epochs": 2, "batchSize": 8, "learningRate": 0.01},
        "functionsSha256": "0" * 64,
    }
    facts = {
        "name": "names",
        "revision": "v1-0123456789",
        "recipe": recipe,
        "dataUri": f"file://{data}",
        "outputUri": f"file://{output}",
        "functionsFile": f"{output.parent}/functions.py",
        "servingFunctionsFile": f"{output.parent}/serving_functions.py",
        "servingFunction": {"function": "rename", "args": {"names": {"gold": "Gold", "navy": "Navy"}}},
    }
    return RunConfig.model_validate(facts | changes)


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("functions")
    outcome, code = attempt(run_of(data, folder / "names"), folder)
    assert code == ExitCode.OK, str(outcome)
    return folder / "names"


def test_the_data_the_head_and_the_pictures_are_those_of_the_functions(trained):
    manifest = bundle.read_manifest(trained)
    inputs = np.load(trained / bundle.GOLDEN_INPUTS)

    assert manifest.classes == ["gold", "navy"]
    assert manifest.resolved["pictures"] == {"train": 48, "validation": 16, "test": 0}
    assert manifest.preprocessing.function == "my_preprocess"
    assert (trained / bundle.FUNCTIONS).read_text() == SERVING
    assert bundle.FUNCTIONS in manifest.files
    assert (inputs[:, :8] == 0).all()
    assert (inputs[:, 8:] > 0).any()


async def test_what_is_served_is_prepared_and_finished_by_them(data, trained):
    post = Postprocessing(function="rename", args={"names": {"gold": "Gold", "navy": "Navy"}})
    model = Model(trained, postprocessing=post)
    app = create_app(Settings(bundle=str(trained), postprocessing=post), model)
    async with app.router.lifespan_context(app):
        model.wait(60)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://server") as client:
            for name in COLOURS:
                content = (data / f"validation/{name}-3.png").read_bytes()
                answer = await client.post("/validate", content=content, headers={"content-type": "image/png"})
                assert answer.json()["prediction"] == name.title()
    assert model.predictor is not None
    assert (model.predictor.decode(content)[:8] == 0).all()


WRONG = {
    "a library that serving pods do not have": (
        "import torch\n" + SERVING,
        "what serves fails where only the server's libraries are: serving_functions.py, line 1: "
        "ModuleNotFoundError: serving pods have no module 'torch'",
    ),
    "another size": (
        SERVING.replace("return image * self.keep if", "return image[::2] if"),
        "uint8 (32, 32, 3) is wanted",
    ),
    "a class without a name": (SERVING.replace("names[pred['prediction']]", "names['tulip']"), "KeyError: 'tulip'"),
    "the end of the process": (
        SERVING.replace("pred['prediction'] = names", "import os; os._exit(3); names"),
        "ended its process with exit code 3",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_served_fails_before_it_is_trained(data, tmp_path, case):
    source, said = WRONG[case]
    run = run_of(data, tmp_path / "names")
    (tmp_path / "serving_functions.py").write_text(source)
    outcome, code = attempt(run, tmp_path)

    assert isinstance(outcome, Failed)
    assert (code, outcome.reason) == (ExitCode.USER_ERROR, Reason.FUNCTION_FAILED)
    assert said in outcome.message
    assert not (tmp_path / "names" / bundle.MANIFEST).exists()


TRAINING_WRONG = {
    "a load function that gives nothing": (
        "return dblock.dataloaders",
        "return None and dblock",
        "load_function 'from_names' gave NoneType; it has to give fastai DataLoaders, a dict",
    ),
    "pictures that are not there": (
        "return dblock.dataloaders",
        "return [('a.png', 'gold'), ('b.png', 'navy')] or dblock.dataloaders",
        "2 pictures are not there: item 0: 'a.png'; item 1: 'b.png'",
    ),
    "an attribute that the configuration does not have": (
        "config.training.scheme.batch_size",
        "config.training.scheme.bach_size",
        "line 21: load_function 'from_names' raised AttributeError: the configuration has no 'bach_size' here",
    ),
    "a head of another width": ("head_input_size, width)", "7, width)", "head 'custom_head' raised RuntimeError"),
    "a head with other scores": ("nn.Linear(width, num_classes)", "nn.Linear(width, 5)", "(1, 2) is wanted"),
    "an augmentation that gives something else": ("image ^ 1", "image / 2", "augmentation 'noise' gave float64"),
}


@pytest.mark.parametrize("case", TRAINING_WRONG)
def test_a_function_of_the_training_that_is_wrong_is_named(data, tmp_path, case):
    old, new, said = TRAINING_WRONG[case]
    run = run_of(data, tmp_path / "names")
    (tmp_path / "functions.py").write_text(TRAINING.replace(old, new))
    outcome, code = attempt(run, tmp_path)

    assert isinstance(outcome, Failed)
    assert said in outcome.message
    assert code == ExitCode.USER_ERROR
    assert "functions.py" in outcome.message or outcome.reason == Reason.DATA_LAYOUT_INVALID
    assert json.loads(outcome.model_dump_json())["hint"]


def test_pictures_of_several_labels_may_come_from_a_function_as_well(data, tmp_path):
    text = """
from autotrain_server.functions import registry

@registry.load_function.register("pairs")
def load(config, none):
    from pathlib import Path
    root = Path(config.training.dir)
    def labels(path):
        return [path.stem.split("-")[0], "even"] if int(path.stem.split("-")[1]) % 2 == 0 else none
    return {part: [(path, labels(path)) for path in sorted((root / part).iterdir())] for part in ("train", "valid")
            if (root / part).is_dir()}
"""
    run = run_of(data, tmp_path / "names")
    (tmp_path / "functions.py").write_text(text)
    data_part = {"uri": f"file://{data}", "load": {"function": "pairs", "args": {"none": []}}}
    recipe = {
        "task": "MultiLabelClassification",
        "data": data_part,
        "model": {"backbone": "test_resnet", "pretrained": False, "imageSize": 32},
        "training": {"epochs": 1, "batchSize": 8, "learningRate": 0.01},
        "functionsSha256": "0" * 64,
    }
    run = RunConfig.model_validate(run.to_dict() | {"recipe": recipe, "servingFunction": None})
    outcome, code = attempt(run, tmp_path)

    assert code == ExitCode.OK, str(outcome)
    assert bundle.read_manifest(tmp_path / "names").classes == ["even", "gold", "navy"]
