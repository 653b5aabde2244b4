"""The timm backbones of the shipped recipe image, as names: the operator checks a name without having timm.

`backbones.json` is generated from the pinned timm by `python -m autotrain_trainer.backbones`; a test regenerates it.
"""

import difflib
import json
from functools import cache
from importlib.resources import files


@cache
def known_backbones() -> dict[str, list[str]]:
    """timm model name -> tags of its pretrained weights (may be empty), sorted by name."""
    text = files("autotrain_api").joinpath("backbones.json").read_text(encoding="utf-8")
    backbones: dict[str, list[str]] = json.loads(text)["backbones"]
    return backbones


def is_known(name: str) -> bool:
    """Whether `name` (`resnet18`, or with the tag of its weights `resnet18.a1_in1k`) is in the shipped image."""
    base, _, tag = name.partition(".")
    tags = known_backbones().get(base)
    return tags is not None and (not tag or tag in tags)


def nearest(name: str, most: int = 3) -> list[str]:
    """Up to `most` known names that resemble `name`, the most alike first."""
    base, _, tag = name.partition(".")
    tags = known_backbones().get(base)
    if tags is not None and tag:
        return [f"{base}.{near}" for near in difflib.get_close_matches(tag, tags, n=most, cutoff=0.0)]
    return difflib.get_close_matches(base, known_backbones(), n=most, cutoff=0.6)
