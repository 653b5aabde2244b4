"""The job's own functions: the registry that their file fills, and the door through which they are found and called.

A file says `from autotrain_server.functions import registry` and registers under a kind and a name:

    @registry.preprocess_function.register("grey")
    def grey(image): ...

What is registered is called with its settings and gives what is called later (a closure, a class with `__call__`); a
function that wants one more positional argument than its settings is what is called later itself. So the kinds and
idioms of AutoTrain's custom_functions.py stay as they are.
"""

import inspect
import json
import linecache
import sys
import threading
import traceback
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from autotrain_server.preprocess import Pixels

KINDS = ("load_function", "preprocess_function", "augmentation", "head", "postprocess_function")
PLURALS = {"augmentations": "augmentation"}
MODULE = "autotrain_functions"
Change: TypeAlias = Callable[[Pixels], Pixels]
"""uint8 RGB [height, width, 3] -> the same form."""
Finish: TypeAlias = Callable[[dict[str, Any]], dict[str, Any]]
"""An answer as JSON has it -> another one."""
_loading = threading.Lock()


class FunctionError(Exception):
    """An own function that is missing, raises or gives the wrong thing. The message names it, with file and line."""


class Kind:
    """The functions of one kind, by name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.registered: dict[str, Callable[..., Any]] = {}

    def register(self, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Decorator: keep a function or a class under `name`."""
        if not isinstance(name, str):
            raise TypeError(f'registry.{self.name}.register takes a name: @registry.{self.name}.register("a_name")')

        def keep(made: Callable[..., Any]) -> Callable[..., Any]:
            if name in self.registered:
                raise ValueError(f"{self.name} {name!r} is registered twice")
            self.registered[name] = made
            return made

        return keep

    __call__ = register


class Registry:
    """`registry.head.register("name")` and so on; more kinds may be created, and nothing here asks for them."""

    def __init__(self) -> None:
        self.kinds: dict[str, Kind] = {}
        self.clear()

    def clear(self) -> None:
        self.kinds = {name: Kind(name) for name in KINDS}

    def create(self, name: str) -> None:
        """A kind of the file's own; those that are there stay."""
        self.kinds.setdefault(PLURALS.get(name, name), Kind(name))

    def __getattr__(self, name: str) -> Kind:
        try:
            return self.kinds[PLURALS.get(name, name)]
        except KeyError:
            raise AttributeError(f"the registry has no {name}; it has {', '.join(self.kinds)}") from None


registry = Registry()


@dataclass(frozen=True)
class Own:
    """A function that is ready to be called; whatever it raises becomes a FunctionError."""

    name: str
    """Kind and name, for people."""
    file: str
    call: Callable[..., Any]

    def __call__(self, *arguments: Any) -> Any:
        try:
            return self.call(*arguments)
        except Exception as error:
            raise FunctionError(f"{place_of(error, self.file)}: {self.name} raised {_words(error)}") from error


@dataclass(frozen=True)
class Functions:
    """What one file registered."""

    file: str
    kinds: Mapping[str, Mapping[str, Callable[..., Any]]]

    def find(self, kind: str, name: str, args: Mapping[str, Any], offered: Mapping[str, Any] | None = None) -> Own:
        """The function of that name, made with `args` and those of `offered` that it takes. Raises FunctionError."""
        label, found = f"{kind} {name!r}", self.kinds[kind].get(name)
        if found is None:
            known = ", ".join(sorted(self.kinds[kind])) or "none"
            raise FunctionError(f"{self.file} registers no {label}; of that kind it has {known}")
        try:
            signature = inspect.signature(found)
        except ValueError:  # some that are written in C do not tell
            return Own(label, self.file, partial(found, **args))
        given = {key: value for key, value in (offered or {}).items() if key in signature.parameters} | dict(args)
        if _takes(signature, given):
            return self._made(label, found, given)
        if _takes(signature, given, None):
            return Own(label, self.file, partial(found, **given))
        raise FunctionError(f"{self.file}: {label} is {found.__name__}{signature} and cannot be called with {given}")

    def _made(self, label: str, factory: Callable[..., Any], given: Mapping[str, Any]) -> Own:
        made = Own(label, self.file, factory)
        product = Own(label, self.file, partial(made.call, **given))()
        if not callable(product):
            raise FunctionError(
                f"{self.file}: {label} gave {type(product).__name__}; it is called with its settings once, and has to "
                "give what is called from then on"
            )
        return Own(label, self.file, product)


def _takes(signature: inspect.Signature, given: Mapping[str, Any], *positional: Any) -> bool:
    try:
        signature.bind(*positional, **given)
    except TypeError:
        return False
    return True


def read_functions(path: Path) -> Functions:
    """Run a file of own functions. Raises FunctionError."""
    try:
        return load_functions(path.read_text(encoding="utf-8"), path.name)
    except (OSError, UnicodeDecodeError) as error:
        raise FunctionError(f"{path.name} cannot be read: {error}") from error


def load_functions(source: str, file: str) -> Functions:
    """Run the text of such a file; `file` is its name in messages. Raises FunctionError."""
    module = types.ModuleType(MODULE)
    module.__file__ = file
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)  # for tracebacks
    with _loading:
        registry.clear()
        sys.modules[MODULE] = module
        try:
            exec(compile(source, file, "exec"), module.__dict__)  # noqa: S102 - running it is what is asked for
        except SyntaxError as error:
            raise FunctionError(f"{file}, line {error.lineno}: {error.msg}") from error
        except (Exception, SystemExit) as error:
            raise FunctionError(f"{place_of(error, file)}: {_words(error)}") from error
        return Functions(file, {name: dict(kind.registered) for name, kind in registry.kinds.items()})


def place_of(error: BaseException, file: str) -> str:
    """The last line of `file` that had to do with an error."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return f"{file}, line {lines[-1]}" if lines else file


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def picture_function(own: Own) -> Change:
    """What `own` makes of a picture, when it is one; the function that is returned raises FunctionError."""

    def call(pixels: Pixels) -> Pixels:
        changed = np.asarray(own(pixels.copy()))
        if changed.dtype != np.uint8 or changed.shape != pixels.shape:
            raise FunctionError(
                f"{own.file}: {own.name} gave {changed.dtype} {changed.shape}; uint8 {pixels.shape} is wanted, as it got"
            )
        return np.ascontiguousarray(changed)

    return call


def answer_function(own: Own) -> Finish:
    """What `own` makes of an answer; the function that is returned raises FunctionError."""

    def call(answer: dict[str, Any]) -> dict[str, Any]:
        changed = own(answer)
        if not isinstance(changed, dict):
            raise FunctionError(f"{own.file}: {own.name} gave {type(changed).__name__}; a dict is wanted")
        try:
            json.dumps(changed, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise FunctionError(f"{own.file}: {own.name} gave what JSON cannot hold: {error}") from error
        return changed

    return call


def preprocessor(functions: Functions, name: str, height: int, width: int) -> Change:
    """The preprocess_function of that name; it may ask for image_size, size, height and width. Raises FunctionError."""
    offered = {"image_size": height, "size": height, "height": height, "width": width}
    return picture_function(functions.find("preprocess_function", name, {}, offered))


def postprocessor(functions: Functions, name: str, args: Mapping[str, Any]) -> Finish:
    """The postprocess_function of that name. Raises FunctionError."""
    return answer_function(functions.find("postprocess_function", name, args))
