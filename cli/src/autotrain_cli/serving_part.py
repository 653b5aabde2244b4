"""The part of a functions file that serves, for pods that have no torch.

It is cut out with the imports and names that it needs. Where that cannot be told without running it, nothing is cut.
"""

import ast
import sys
from collections.abc import Iterator, Sequence

from autotrain_cli.functions import OURS, Definition, FunctionsFile, Registered, parse_python, registry_of

SERVER_MODULES = sys.stdlib_module_names | {
    "PIL",
    "annotated_types",
    "anyio",
    "autotrain_api",
    "autotrain_server",
    "click",
    "fastapi",
    "httptools",
    "idna",
    "numpy",
    "obstore",
    "openvino",
    "prometheus_client",
    "pydantic",
    "pydantic_core",
    "pydantic_settings",
    "python_multipart",
    "simplejpeg",
    "starlette",
    "typing_extensions",
    "uvicorn",
    "uvloop",
    "yaml",
}
"""What own functions find in the server's image."""


def serving_source(file: FunctionsFile, functions: Sequence[Registered]) -> str | None:
    """A file with these functions and what they need; None when the whole file serves as well, or only it can."""
    body = file.tree.body
    if not foreign_modules(file.source) or any(_has_star(node) for node in body):
        return None
    lines = {function.line for function in functions}
    kept = {place for place, node in enumerate(body) if _imports_registry(node) or lines & set(_lines_of_calls(node))}
    while more := _needed(file, kept) - kept:
        kept |= more
    source = file.source.encode().splitlines(keepends=True)
    return "\n\n".join(_text_of(body[place], source).rstrip() for place in sorted(kept)) + "\n"


def foreign_modules(source: str) -> list[str]:
    """Modules that a file imports, wherever, and the server's image does not have."""
    return _foreign([parse_python(source)])


def foreign_at_top(file: FunctionsFile) -> list[str]:
    """Those that are imported as soon as the file is run, and not first by one of its functions."""
    return _foreign([node for node in file.tree.body if not isinstance(node, Definition)])


def _foreign(nodes: Sequence[ast.AST]) -> list[str]:
    found = set()
    for node in (part for one in nodes for part in ast.walk(one)):
        if isinstance(node, ast.Import):
            found |= {item.name.partition(".")[0] for item in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return sorted(found - SERVER_MODULES)


def _has_star(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and any(item.name == "*" for item in node.names)


def _imports_registry(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == OURS


def _lines_of_calls(node: ast.stmt) -> Iterator[int]:
    return (part.lineno for part in ast.walk(node) if isinstance(part, ast.Call))


def _needed(file: FunctionsFile, kept: set[int]) -> set[int]:
    """Places of the statements that bind a name which the kept ones use.

    A registered function is never needed by its name: AutoTrain's files give many of them the same.
    """
    body = file.tree.body
    used = {part.id for place in kept for part in ast.walk(body[place]) if isinstance(part, ast.Name)}
    return {
        place for place, node in enumerate(body) if not _registers(node, file.registries) and used & set(_bound(node))
    }


def _registers(node: ast.stmt, registries: frozenset[str]) -> bool:
    calls = [item for item in node.decorator_list if isinstance(item, ast.Call)] if isinstance(node, Definition) else []
    return any(registry_of(call.func, registries) for call in calls)


def _bound(node: ast.stmt) -> Iterator[str]:
    """Names that a statement at the top binds."""
    open_nodes: list[ast.AST] = [node]
    while open_nodes:
        part = open_nodes.pop()
        if isinstance(part, Definition):
            yield part.name
        elif isinstance(part, ast.Import | ast.ImportFrom):
            yield from ((item.asname or item.name).partition(".")[0] for item in part.names)
        elif isinstance(part, ast.Name):
            if isinstance(part.ctx, ast.Store):
                yield part.id
        else:
            open_nodes += ast.iter_child_nodes(part)


def _text_of(node: ast.stmt, lines: Sequence[bytes]) -> str:
    decorators = node.decorator_list if isinstance(node, Definition) else []
    first = min([node.lineno, *(item.lineno for item in decorators)])
    return b"".join(lines[first - 1 : node.end_lineno]).decode()
