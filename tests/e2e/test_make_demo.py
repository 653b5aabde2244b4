"""The README's first command, as a newcomer types it."""

import os
import subprocess
import sys

import pytest

from e2e_lab import ROOT


@pytest.mark.minicluster
def test_make_demo_ends_with_a_good_model() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", "demo", f"VENV={sys.prefix}"]
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)

    assert ran.returncode == 0, ran.stdout + ran.stderr
    words = [line.split()[1] for line in (ROOT / ".demo/get-atj-w.txt").read_text().splitlines()[1:]]
    phases = list(dict.fromkeys(word for word in words if word.isalpha()))
    assert phases in (["Pending", "Training", "RollingOut", "Ready"], ["Training", "RollingOut", "Ready"])
