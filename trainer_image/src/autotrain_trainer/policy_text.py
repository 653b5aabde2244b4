"""What spec.augmentation.policy may say: "Default", "None", or a text as timm's `aa` option takes it. Pure.

timm passes over parts that it does not know, or stumbles over them at the first picture; here they are named at once.
"""

import re

OWN = ("Default", "None")
"""Policies that are not timm's."""
SECTIONS = {
    "rand": ("m", "n", "p", "mstd", "mmax", "inc", "tweights"),
    "augmix": ("m", "w", "d", "a", "b", "mstd"),
}
OTHERS = ("mstd",)
MOST_LAYERS = 10
LAYERS = ("n", "w", "d")
"""Sections that multiply the work for a picture."""


def check(text: str) -> None:
    """A text of timm's families `rand`, `augmix`, `original`, `originalr`, `v0`, `v0r` and `3a`. Raises ValueError."""
    family, *sections = text.split("-")
    allowed = SECTIONS.get(family, OTHERS)
    for section in sections:
        found = re.fullmatch(r"([A-Za-z]+)(\d+(?:\.\d+)?|)", section)
        name, value = found.groups() if found else (section, "")
        if name not in allowed or (value == "") != (name == "tweights"):
            known = ", ".join(key if key == "tweights" else f"{key}<number>" for key in allowed)
            raise ValueError(f"{section!r} in {text!r} is none of {known}")
        if name not in ("p", "a", "mstd", "tweights") and "." in value:
            raise ValueError(f"{section!r} in {text!r} takes a whole number")
        if name in LAYERS and not 1 <= int(value) <= MOST_LAYERS:
            raise ValueError(f"{section!r} in {text!r} goes from 1 to {MOST_LAYERS}")
