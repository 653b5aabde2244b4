"""The README's first command, as a newcomer types it."""

import os
import subprocess
import sys

from e2e_lab import ROOT


def test_make_demo_ends_with_a_good_model() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", "demo", f"VENV={sys.prefix}"]
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)

    assert ran.returncode == 0, ran.stdout + ran.stderr
    transcript = (ROOT / ".demo/get-atj-w.txt").read_text()
    phases = [line.split()[1] for line in transcript.splitlines()[2:]]
    assert [phase for phase, before in zip(phases, ["", *phases], strict=False) if phase != before] == [
        "Pending",
        "Training",
        "RollingOut",
        "Ready",
    ]
