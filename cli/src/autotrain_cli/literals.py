"""The text of a value becomes a value: JSON, as AutoTrain reads it, or a Python literal, as people write it."""

import ast
import json
import math
import re
import warnings
from typing import Any, NoReturn

REMARK = re.compile(r"\s+[#;]")
QUOTED = re.compile(r"""(?P<sign>['"])(?P<inside>(?:(?!(?P=sign)).)*)(?P=sign)""")
UNREADABLE = object()


def read_literal(text: str) -> Any:
    """A number, truth value, None, text, list or dict; whatever is none of these is text as it stands."""
    value = _literal(text)
    return text if value is UNREADABLE else value


def split_remark(text: str) -> tuple[str, str]:
    """Cut off what follows ` #` or ` ;`, unless it lies inside of a quoted text or list."""
    if "\n" in text or not (marks := list(REMARK.finditer(text))) or _json(text) is not UNREADABLE:
        return text, ""
    at = next((mark for mark in marks if _literal(text[: mark.start()]) is not UNREADABLE), marks[0])
    return text[: at.start()], text[at.end() :].lstrip("#;").strip()


def quoted(text: str) -> str | None:
    """The content of `"text"` or `'text'`; None of anything else."""
    value = _literal(text) if text[:1] in ("'", '"') else None
    return value if isinstance(value, str) else None


def _literal(text: str) -> Any:
    value = _json(text)
    if value is UNREADABLE and (path := QUOTED.fullmatch(text)) and "\\" in path["inside"].replace("\\\\", ""):
        return path["inside"]  # 'D:\temp' of Windows has no tab in it
    return _python(text) if value is UNREADABLE else value


def _json(text: str) -> Any:
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return UNREADABLE
    return value if _is_plain(value) else UNREADABLE


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"JSON has no {name}")


def _python(text: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return UNREADABLE
    value = list(value) if isinstance(value, tuple) else value
    return value if _is_plain(value) else UNREADABLE


def _is_plain(value: Any) -> bool:
    """Whether JSON can hold it."""
    if isinstance(value, list):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(item) for key, item in value.items())
    return value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value))
