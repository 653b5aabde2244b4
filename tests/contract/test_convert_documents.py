"""What `autotrain convert` says and takes for granted about the other parts is so."""

import re
import sys
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from typer.main import get_command

from autotrain_cli.__main__ import Exit, app
from autotrain_cli.serving_part import SERVER_MODULES

README = (Path(__file__).parents[2] / "cli/README.md").read_text()


def distributions_of(name: str) -> set[str]:
    """A distribution and all that it requires, without extras."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name not in found:
            found.add(name)
            required = [Requirement(text) for text in metadata.requires(name) or []]
            waiting += [one.name for one in required if one.marker is None or one.marker.evaluate({"extra": ""})]
    return found


def test_own_functions_find_in_a_server_what_the_conversion_says():
    served = distributions_of("autotrain-server")
    owners = metadata.packages_distributions()
    missing = {
        module
        for module in SERVER_MODULES - sys.stdlib_module_names
        if not module.startswith("autotrain_")
        and not served & {name.lower().replace("_", "-") for name in owners[module]}
    }

    assert missing == set()


def test_the_readme_tells_every_option_and_exit_code():
    command = get_command(app).get_command(None, "convert")  # type: ignore[attr-defined]
    options = {option for parameter in command.params for option in parameter.opts if option.startswith("--")}

    assert set(re.findall(r"^\| `(--[a-z-]+) ", README, re.MULTILINE)) == options
    assert set(re.findall(r"^\| (\d+) \|", README, re.MULTILINE)) == {"0", "2", *(str(code.value) for code in Exit)}
