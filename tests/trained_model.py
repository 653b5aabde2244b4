"""Runs of the trainer in this process, which has torch already, and pictures to ask their models about."""

import io
from pathlib import Path

import pytest
from PIL import Image

from autotrain_api.outcome import Failed, Succeeded
from autotrain_api.run import RunConfig, dump_run
from autotrain_trainer import __main__ as trainer

ORIENTATION = 0x0112


def attempt(run: RunConfig, folder: Path) -> tuple[Succeeded | Failed, int]:
    """Outcome and exit code of a run whose run.yaml is written into `folder`."""
    path = folder / "run.yaml"
    path.write_text(dump_run(run))
    return attempt_file(path)


def attempt_file(path: Path) -> tuple[Succeeded | Failed, int]:
    """The same of a run.yaml, on one thread, so that it does not wait for a busy machine.

    It answers on 127.0.0.1, and at no port that pods of other tests want.
    """
    import torch

    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTOTRAIN_HOST", "127.0.0.1")
        patch.setenv("AUTOTRAIN_PORT", "0")
        return trainer.attempt(path)


def encoded(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def turned(image: Image.Image) -> bytes:
    """As a camera stores it that was held upright: turned, with a note."""
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    return encoded(image.transpose(Image.Transpose.ROTATE_90), quality=95, exif=exif)
