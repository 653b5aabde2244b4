"""Which local command an image stands for. `autotrain_images` knows this project's own three."""

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Image:
    """What a Dockerfile says: ENTRYPOINT, CMD and ENV. $(POD_IP) in env is the pod's own address."""

    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)


Images = Mapping[str, Image]
"""Regular expression over the repository, without tag and digest -> Image. The first that matches wins."""


def find_image(images: Images, reference: str) -> Image | None:
    repository = re.sub(r"(@sha256:[0-9a-f]+)?$", "", reference)
    repository = re.sub(r":[^/:]+$", "", repository)
    return next((image for pattern, image in images.items() if re.search(pattern, repository)), None)


def autotrain_images(python: str = sys.executable) -> dict[str, Image]:
    """The chart's default repositories, whatever the registry and tag, as the modules of this checkout."""
    env = {"AUTOTRAIN_HOST": "$(POD_IP)", "AUTOTRAIN_TERMINATION_LOG": "/dev/termination-log"}
    return {
        f"(^|/)autotrain/{part}$": Image((python, "-m", f"autotrain_{part}"), (), env)
        for part in ("operator", "trainer", "server")
    } | plain_images(python)


def plain_images(python: str = sys.executable) -> dict[str, Image]:
    """Images in which a container says itself what it runs: `python` and `busybox`."""
    python_path = {"PATH": f"{Path(python).parent}:/usr/local/bin:/usr/bin:/bin"}
    return {r"(^|/)python$": Image((), (python,), python_path), r"(^|/)busybox$": Image((), ("sh",))}


def load_images(content: Any) -> dict[str, Image]:
    """From YAML or JSON: {pattern: {entrypoint: [...], command: [...], env: {...}}}."""
    return {
        pattern: Image(tuple(entry.get("entrypoint", ())), tuple(entry.get("command", ())), entry.get("env", {}))
        for pattern, entry in content.items()
    }
