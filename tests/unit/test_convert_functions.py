"""Files of own functions: read without running them, changed in one line, cut for the server."""

import ast
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotrain_cli.functions import IMPORT, FunctionsFile, Registered, read_functions
from autotrain_cli.problems import InputError
from autotrain_cli.serving_part import foreign_modules, serving_source

FROM = "from torch_snippets.registry import registry\n"


def read(source: str) -> FunctionsFile:
    return read_functions("f.py", source.encode())


def refusal(content: bytes) -> str:
    with pytest.raises(InputError) as caught:
        read_functions("f.py", content)
    return caught.value.problems[0].describe("config.ini")


# --- the import


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (FROM, f"{IMPORT}\n"),
        ("from torch_snippets.registry import *\n", f"{IMPORT}\n"),
        ("from torch_snippets.registry import registry as reg\n", f"{IMPORT} as reg\n"),
        (
            "from torch_snippets.registry import (\n    Config,\n    registry,\n)  # ours\nx = 1\n",
            f"{IMPORT}  # ours\nx = 1\n",
        ),
        ("import os; from torch_snippets.registry import registry; x = 'ü'\n", f"import os; {IMPORT}; x = 'ü'\n"),
        ("if True:\r\n    from torch_snippets.registry import registry\r\n", f"if True:\r\n    {IMPORT}\r\n"),
        (f"{IMPORT}\n", f"{IMPORT}\n"),
    ],
)
def test_only_the_import_of_the_registry_changes(before: str, after: str):
    assert read(before).source == after


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"x = 1\n", "f.py: imports no registry; expected `from torch_snippets.registry import registry`"),
        (b"x = (\n", "f.py:1: no Python: '(' was never closed"),
        (b"x = 1\ny = '\xff'\n", "f.py:2: byte 11 is not UTF-8"),
        (b"x = '\x00'\n", "f.py: no Python: source code string cannot contain null bytes"),
        (b"#" * 900_001, "f.py: 900001 bytes; a ConfigMap has room for 900000"),
        (
            b"from torch_snippets.registry import registry, Config\nc = Config()\n",
            "f.py:1: Config of torch_snippets.registry: autotrain_server.functions has a registry and nothing else",
        ),
    ],
)
def test_what_cannot_be_used_is_told_with_its_line(content: bytes, told: str):
    assert refusal(content).startswith(told)


@given(st.text(max_size=80))
def test_no_file_gives_a_traceback(source: str):
    with suppress(InputError):
        read(FROM + source)


@pytest.mark.filterwarnings("error")
def test_python_s_warnings_about_style_are_not_ours():
    assert foreign_modules(read(FROM + "x = 1if True else '\\d'\n").source) == []


# --- what is registered


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("@registry.head.register('h')\ndef f(a, b=1): ...", Registered("head", "h", 2, ("a",), ("b",), first="a")),
        ("@registry.head('h')\ndef f(*, a, b=1): ...", Registered("head", "h", 2, ("a",), ("b",))),
        ("@registry.head.register(name='h')\ndef f(a, **more): ...", Registered("head", "h", 2, ("a",), (), True, "a")),
        ("@registry.head.register('h')\nclass C:\n  def __init__(self, a): ...", Registered("head", "h", 2, ("a",))),
        ("@registry.head.register('h')\nclass C: ...", Registered("head", "h", 2)),
        ("@registry.head.register('h')\nclass C(Base): ...", Registered("head", "h", 2, open=True)),
        ("@registry.head.register('h')\n@wrapped\ndef f(a): ...", Registered("head", "h", 2, open=True)),
        ("registry.head.register('h')(f)", Registered("head", "h", 2, open=True)),
        ("registry.head.register('h', func=f)", Registered("head", "h", 2, open=True)),
        ("@registry.augmentations.register('h')\ndef f(): ...", Registered("augmentation", "h", 2)),
        ("if x:\n  @registry.head.register('h')\n  def f(): ...", Registered("head", "h", 3)),
    ],
)
def test_a_registration_is_found_with_its_parameters(source: str, found: Registered):
    assert read(FROM + source).registered == [found]


def test_methods_of_the_registry_register_nothing():
    file = read(
        FROM + "registry.create('head')\nregistry.resolve(config)\nregistry.get('head', 'x')\nother.head.register('x')"
    )

    assert (file.registered, file.unclear) == ([], [])


def test_a_name_that_only_running_would_tell_is_unclear():
    assert read(FROM + "registry.head.register(NAME)(f)").unclear == [2]


@pytest.mark.parametrize(
    ("definition", "given", "lacking"),
    [
        ("def f(size): ...", {"size"}, []),
        ("def f(picture): ...", {"size"}, []),
        ("def f(picture, size): ...", {"size"}, []),
        ("def f(size, presize): ...", {"size"}, ["presize"]),
        ("def f(picture, colour): ...", {"size"}, ["picture", "colour"]),
        ("class C:\n  def __init__(self, colour): ...", {"size"}, ["colour"]),
    ],
)
def test_a_function_may_take_the_picture_first_and_a_class_may_not(
    definition: str, given: set[str], lacking: list[str]
):
    (found,) = read(f"{FROM}@registry.preprocess_function.register('p')\n{definition}").registered

    assert found.lacks(given) == lacking


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (
            "@registry.haed.register('h')\ndef f(): ...",
            "f.py:2: registry.haed: the registry has no haed, it has load_function,",
        ),
        (
            "@registry.head.register('h')\ndef f(): ...\n@registry.head.register('h')\ndef g(): ...",
            "f.py:2: registry.head: 'h' is registered twice",
        ),
    ],
)
def test_what_the_operator_s_registry_would_refuse_is_told(source: str, told: str):
    assert refusal((FROM + source).encode()).startswith(told)


def test_a_file_may_create_registries_of_its_own_and_choose_between_functions():
    either = (
        "if x:\n  @registry.head.register('h')\n  def f(): ...\nelse:\n  @registry.head.register('h')\n  def f(): ..."
    )
    file = read(f"{FROM}registry.create('own')\n@registry.own.register('o')\ndef o(): ...\n{either}")

    assert [entry.name for entry in file.registered] == ["o", "h", "h"]


# --- what serves

MIXED = f"""{FROM}
import torch
import numpy as np
from PIL import Image

LIMIT = 3
SIZES = [LIMIT] * 2


@registry.head.register("h")
def thing(): return torch.nn.Identity()


def helper(x):
    return np.minimum(x, SIZES[0])


# kept with it
@registry.postprocess_function.register("p")
def thing():
    return helper
"""


def test_what_serves_is_cut_out_with_everything_that_it_needs():
    file = read(MIXED)
    part = serving_source(file, [file.registered[1]])

    assert part is not None
    assert foreign_modules(part) == []
    assert [ast.unparse(node).partition("\n")[0] for node in ast.parse(part).body] == [
        IMPORT,
        "import numpy as np",
        "LIMIT = 3",
        "SIZES = [LIMIT] * 2",
        "def helper(x):",
        "@registry.postprocess_function.register('p')",
    ]


def test_a_file_that_the_server_can_import_serves_as_it_is():
    file = read(FROM + "import numpy\n@registry.postprocess_function.register('p')\ndef f(): ...")

    assert serving_source(file, file.registered) is None


def test_deep_expressions_are_no_trouble():
    deep = "+".join(["x"] * 700)
    file = read(
        f"{FROM}import torch\nx = 1\ny = {deep}\n@registry.postprocess_function.register('p')\ndef f(): return y\n"
    )

    assert f"y = {deep}" in str(serving_source(file, file.registered))


def test_with_a_star_import_nothing_can_be_cut():
    file = read(FROM + "from fastai.vision.all import *\n@registry.postprocess_function.register('p')\ndef f(): ...")

    assert serving_source(file, file.registered) is None
    assert foreign_modules(file.source) == ["fastai"]


def test_what_a_serving_function_imports_itself_is_seen():
    file = read(
        FROM + "@registry.postprocess_function.register('p')\ndef f():\n  import pandas.io\n  from torch import nn"
    )

    assert foreign_modules(file.source) == ["pandas", "torch"]
