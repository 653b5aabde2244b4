"""`python -m autotrain_trainer.backbones`: write autotrain_api's list of backbones from the installed timm."""

import json
from pathlib import Path

import timm

import autotrain_api


def listing() -> dict[str, object]:
    """{"timm": version, "backbones": {name: [tags]}}, sorted."""
    backbones = {name: sorted(_tags(name)) for name in sorted(timm.list_models())}
    return {"timm": timm.__version__, "backbones": backbones}


def _tags(name: str) -> list[str]:
    names = timm.list_models(f"{name}.*", pretrained=True)
    return [found.partition(".")[2] for found in names if found.partition(".")[0] == name]


def main() -> None:
    path = Path(autotrain_api.__file__).with_name("backbones.json")
    path.write_text(json.dumps(listing(), indent=0) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
