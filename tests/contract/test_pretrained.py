"""Weights of the hub: a moment without it is waited for, what is not there is not."""

from types import SimpleNamespace

import pytest

pytestmark = pytest.mark.torch


class HubError(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(f"the hub said {status}")
        self.response = SimpleNamespace(status_code=status)


def wrapped(cause: Exception) -> Exception:
    """As the hub's own client tells of it."""
    error = RuntimeError("cannot find the file on the hub, nor in the cache")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "tries"),
    [
        (ConnectionResetError("by peer"), 3),
        (TimeoutError(), 3),
        (wrapped(ConnectionError("no route")), 3),
        (HubError(503), 3),
        (wrapped(HubError(429)), 3),
        (HubError(404), 1),
        (HubError(401), 1),
        (RuntimeError("no pretrained weights exist"), 1),
        (TypeError("img_size"), 1),
    ],
    ids=repr,
)
def test_only_what_passes_is_tried_again(error, tries):
    from autotrain_trainer.pretrained import created

    told = []

    def fail():
        told.append(1)
        raise error

    with pytest.raises(type(error)):
        created(fail, (0.0, 0.0))
    assert len(told) == tries


def test_what_comes_at_last_is_taken():
    from torch import nn

    from autotrain_trainer.pretrained import created

    answers = [ConnectionError("no route"), HubError(502), nn.Identity()]

    def make():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert isinstance(created(make, (0.0, 0.0)), nn.Identity)
