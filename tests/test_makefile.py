"""The targets of the Makefile, with a Snakemake that stands in for the real one."""

import os
import shutil
import signal
import subprocess
import time

import pytest
from support.smoke import ROOT

SNAKEMAKE = """#!/bin/sh
echo "$@" >> calls
case "$*" in
--report*) echo half > "$2"; [ -e whole ] || exit 1; echo whole >> "$2" ;;
*) mkdir -p results; [ -e results/summary.txt ] || echo summary > results/summary.txt
   [ ! -e slow ] || { trap 'echo told >> calls; exit 1' TERM; touch begun; sleep 60 & wait; } ;;
esac
"""


@pytest.fixture
def folder(tmp_path):
    """A folder with the Makefile and an environment that is set up."""
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    command = tmp_path / ".venv/bin/snakemake"
    command.parent.mkdir(parents=True)
    command.write_text(SNAKEMAKE)
    command.chmod(0o755)
    (tmp_path / "workflow/report").mkdir(parents=True)
    (tmp_path / ".venv/.run").touch()
    return tmp_path


# Not what a make tells those that it starts, as when these tests are run by one.
ALONE = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}


def make(folder, *arguments, **environment):
    return subprocess.run(
        ["make", *arguments],
        cwd=folder,
        env={**ALONE, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_a_report_that_was_not_finished_is_made_again(folder):
    assert make(folder, "run").returncode != 0
    assert not (folder / "results/report.html").exists()
    (folder / "whole").touch()
    assert make(folder, "run").returncode == 0
    assert (folder / "results/report.html").read_text() == "half\nwhole\n"
    os.utime(folder / "results/summary.txt", (0, 0))  # the run made nothing anew
    assert make(folder, "run").returncode == 0
    assert (folder / "calls").read_text().count("--report") == 2


def test_sigterm_to_make_reaches_snakemake_and_ends_both(folder):
    (folder / "slow").touch()
    process = subprocess.Popen(["make", "run"], cwd=folder, env=ALONE)
    deadline = time.monotonic() + 30
    while not (folder / "begun").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) != 0
    assert "told" in (folder / "calls").read_text()
    assert "--report" not in (folder / "calls").read_text()


def test_cleaning_keeps_the_environment_and_the_data(folder):
    for name in ("results", "site", "data", "results-mine"):
        (folder / name).mkdir()
    assert make(folder, "clean").returncode == 0
    left = {path.name for path in folder.iterdir()}
    assert left >= {".venv", "data", "results-mine", "Makefile"}
    assert not left & {"results", "site"}


@pytest.mark.parametrize(
    ("home", "writable"), [("/dev/null", False), ("/none", False), (".", True)]
)
def test_a_home_that_cannot_be_written_is_not_needed(folder, home, writable):
    """Snakemake keeps a cache there."""
    show = ["--eval", "show:\n\t@echo [$(XDG_CACHE_HOME)]", "show"]
    said = make(folder, *show, HOME=str(folder / home), XDG_CACHE_HOME="").stdout
    assert said == ("[]\n" if writable else f"[{folder}/.snakemake/cache]\n")
