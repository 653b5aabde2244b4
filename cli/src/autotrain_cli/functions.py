"""A file of own functions is read without running it: what it registers, and what it looks like for the operator.

Only the import of AutoTrain's registry changes.
"""

import ast
import warnings
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from autotrain_cli.problems import InputError, Problem

LARGEST_BYTES = 900_000
"""A ConfigMap holds one MiB, all in all."""
IMPORT = "from autotrain_server.functions import registry"
OURS = "autotrain_server.functions"
ORIGINS = ("torch_snippets", "torch_snippets.registry", "torch_snippets.thinc_parser.parser")
KINDS = ("load_function", "preprocess_function", "augmentation", "head", "postprocess_function")
"""What the operator's registry has; a file may create more."""
SYNONYMS = {"augmentations": "augmentation"}
METHODS = ("clear", "create", "fill", "find", "get", "get_all", "has", "make_from_config", "resolve")
"""Of the registry itself; every other attribute is a registry of functions."""
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Registered:
    """A name that the file registers, and the parameters of what it registers."""

    registry: str
    name: str
    line: int
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    open: bool = False
    """It takes any argument, or the file does not show which."""
    first: str = ""
    """The parameter of a function that an argument without a name goes to."""

    def lacks(self, given: Collection[str]) -> list[str]:
        """Parameters that `given` leaves empty. One that stands first may be the picture or the answer itself."""
        empty = [name for name in self.required if name not in given]
        return [] if empty == [self.first] else empty


@dataclass
class FunctionsFile:
    name: str
    source: str
    """With the import changed."""
    tree: ast.Module
    registries: frozenset[str] = frozenset()
    """What the file calls the registry."""
    registered: list[Registered] = field(default_factory=list)
    unclear: list[int] = field(default_factory=list)
    """Lines that register a name which only running the file would tell."""

    def find(self, registry: str, name: str) -> Registered | None:
        """The last of that name, as the registry itself would have it."""
        found = [entry for entry in self.registered if (entry.registry, entry.name) == (registry, name)]
        return found[-1] if found else None


def read_functions(name: str, content: bytes) -> FunctionsFile:
    """Raises InputError."""
    if len(content) > LARGEST_BYTES:
        raise _refusal(name, None, f"{len(content)} bytes; a ConfigMap has room for {LARGEST_BYTES}")
    try:
        source = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _refusal(name, content[: error.start].count(b"\n") + 1, f"byte {error.start} is not UTF-8") from error
    tree = _parse(name, source)
    changed = _with_our_import(name, source, tree)
    tree = _parse(name, changed)
    file = FunctionsFile(name, changed, tree, _names_of_registry(tree))
    for entry in _registrations(tree, file.registries):
        if isinstance(entry, Registered):
            file.registered.append(entry)
        else:
            file.unclear.append(entry)
    if problems := [*_unknown_kinds(file), *_doubles(file)]:
        raise InputError(problems)
    return file


def _unknown_kinds(file: FunctionsFile) -> Iterator[Problem]:
    calls = [
        node for node in ast.walk(file.tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    ]
    created = {
        _name_given(call) for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == "create"
    }
    for entry in file.registered:
        if entry.registry not in KINDS and entry.registry not in created:
            text = f"the registry has no {entry.registry}, it has {', '.join(KINDS)}; registry.create makes more"
            yield Problem(entry.line, f"registry.{entry.registry}", text, file.name)


def _doubles(file: FunctionsFile) -> Iterator[Problem]:
    """Names that two functions at the top of the file register under: the operator's registry refuses the second."""
    decorators = (item for node in file.tree.body if isinstance(node, Definition) for item in node.decorator_list)
    lines = {item.lineno for item in decorators}
    count = Counter((entry.registry, entry.name) for entry in file.registered if entry.line in lines)
    for entry in file.registered:
        if count[entry.registry, entry.name] > 1:
            yield Problem(entry.line, f"registry.{entry.registry}", f"{entry.name!r} is registered twice", file.name)


def parse_python(source: str) -> ast.Module:
    """Without Python's own warnings, which are about style. Raises SyntaxError, ValueError, RecursionError, MemoryError."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(source)


def _parse(name: str, source: str) -> ast.Module:
    try:
        return parse_python(source)
    except SyntaxError as error:
        raise _refusal(name, error.lineno, f"no Python: {error.msg}") from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise _refusal(name, None, f"no Python: {error}") from error


# --- the import


def _with_our_import(name: str, source: str, tree: ast.Module) -> str:
    """Raises InputError where there is nothing to change, or more is imported than the registry."""
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    theirs = [node for node in imports if node.module in ORIGINS and _takes_registry(node)]
    if not theirs and not any(node.module == OURS for node in imports):
        raise _refusal(
            name, None, f"imports no registry; expected `from torch_snippets.registry import registry` or `{IMPORT}`"
        )
    lines = source.encode().splitlines(keepends=True)
    for node in sorted(theirs, key=lambda node: node.lineno, reverse=True):
        _refuse_others(name, node, tree)
        alias = next((item.asname for item in node.names if item.name == "registry" and item.asname), None)
        _replace(lines, node, f"{IMPORT} as {alias}" if alias else IMPORT)
    return b"".join(lines).decode()


def _takes_registry(node: ast.ImportFrom) -> bool:
    names = {item.name for item in node.names}
    return "registry" in names or ("*" in names and node.module != "torch_snippets")


def _refuse_others(name: str, node: ast.ImportFrom, tree: ast.Module) -> None:
    """Raises InputError when the file uses what else came with the registry."""
    others = {item.asname or item.name for item in node.names} - {"registry", "*"}
    used = others & {part.id for part in ast.walk(tree) if isinstance(part, ast.Name)}
    if used := used - {item.asname for item in node.names if item.name == "registry"}:
        words = ", ".join(sorted(used))
        raise _refusal(
            name, node.lineno, f"{words} of {node.module}: {OURS} has a registry and nothing else; do without"
        )


def _replace(lines: list[bytes], node: ast.ImportFrom, text: str) -> None:
    first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
    before, after = lines[first][: node.col_offset], lines[last][node.end_col_offset or 0 :]
    lines[first : last + 1] = [before + text.encode() + after]


# --- what is registered


def _names_of_registry(tree: ast.Module) -> frozenset[str]:
    imports = (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module == OURS)
    return frozenset(item.asname or item.name for node in imports for item in node.names if item.name == "registry")


def _registrations(tree: ast.Module, registries: frozenset[str]) -> Iterator[Registered | int]:
    decorated: dict[int, Definition] = {}
    for node in ast.walk(tree):
        if isinstance(node, Definition):
            decorated |= {id(decorator): node for decorator in node.decorator_list}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (registry := registry_of(node.func, registries)):
            name = _name_given(node)
            yield node.lineno if name is None else _registered(registry, name, node.lineno, decorated.get(id(node)))


def registry_of(called: ast.expr, registries: frozenset[str]) -> str | None:
    """`head` of registry.head.register and of registry.head; None of any other call."""
    short = not (isinstance(called, ast.Attribute) and called.attr == "register")
    place = called if short else called.value  # type: ignore[attr-defined]
    if not (isinstance(place, ast.Attribute) and isinstance(place.value, ast.Name) and place.value.id in registries):
        return None
    return None if short and place.attr in METHODS else SYNONYMS.get(place.attr, place.attr)


def _name_given(call: ast.Call) -> str | None:
    given = call.args[:1] or [word.value for word in call.keywords if word.arg == "name"]
    value = given[0].value if given and isinstance(given[0], ast.Constant) else None
    return value if isinstance(value, str) else None


def _registered(registry: str, name: str, line: int, node: Definition | None) -> Registered:
    if isinstance(node, ast.ClassDef):
        init = next((item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == "__init__"), None)
        if init is None:
            return Registered(registry, name, line, open=bool(node.bases or node.decorator_list[1:]))
        return _signature(registry, name, line, init.args, skip=1)
    if node is None or len(node.decorator_list) > 1:
        return Registered(registry, name, line, open=True)
    return _signature(registry, name, line, node.args, skip=0)


def _signature(registry: str, name: str, line: int, arguments: ast.arguments, skip: int) -> Registered:
    plain = [item.arg for item in [*arguments.posonlyargs, *arguments.args]]
    first_optional = len(plain) - len(arguments.defaults)
    first = plain[0] if plain and not skip else ""  # a class is always made before it is called
    required, optional = plain[skip:first_optional], plain[max(skip, first_optional) :]
    for item, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        (required if default is None else optional).append(item.arg)
    return Registered(registry, name, line, tuple(required), tuple(optional), arguments.kwarg is not None, first)


def _refusal(name: str, line: int | None, text: str) -> InputError:
    return InputError([Problem(line, "", text, file=name)])
