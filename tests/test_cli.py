"""The command ``remibench``: its help, and what a sub-command does not import."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from remibench.cli import main

ROOT = Path(__file__).parents[1]
COMMANDS = [
    *("plan", "export", "verify", "check", "compare", "publish", "page", "stopping", "audit"),
    "schema",
]


def test_the_schema_is_the_committed_one_and_is_printed_without_torch():
    code = (
        "import sys; from remibench.cli import main; status = main(['schema']); "
        "sys.exit(status or str({'torch', 'pandas', 'snakemake'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stderr.strip() == "set()"
    committed = ROOT / "workflow/schemas/config.schema.json"
    assert json.loads(done.stdout) == json.loads(committed.read_text())


def test_the_module_is_the_command():
    run = [sys.executable, "-m", "remibench", "verify", "no.zip"]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def test_a_command_that_does_not_exist_is_named(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["plant"])
    assert "invalid choice: 'plant'" in capsys.readouterr().err


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)])
def test_help_names_the_command_or_all_of_them(command, capsys):
    with pytest.raises(SystemExit, match="0"):
        main([*command, "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert all(name in text for name in command or COMMANDS)
