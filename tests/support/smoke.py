"""The smoke grid, run by a real Snakemake in a copy of the repository.

In a copy, editing a module or a config is a real edit. The project is imported from it, because
Snakemake puts the Snakefile's folder on the path.
"""

import atexit
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import pandas as pd
import yaml

ROOT = Path(__file__).parents[2]


def copy_repository(folder):
    """Copy what git tracks or would track."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
    return folder


@cache
def warm():
    """The process that forks a Snakemake for each command of this one; it ends with this one."""
    server = subprocess.Popen(
        [sys.executable, "-P", str(Path(__file__).with_name("warm.py"))],
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    atexit.register(server.communicate)
    return server


def snakemake(folder, *arguments, check=True, config=("config/smoke.yaml",), warm_jobs=True):
    """Run the smoke grid in a copy; return the completed process with joined output.

    Jobs are forked from a process that has imported torch, unless ``warm_jobs`` is False.
    """
    arguments = [*map(str, arguments), "--configfile", *map(str, config)]
    with tempfile.NamedTemporaryFile("r", errors="replace") as output:
        command = {"arguments": arguments, "folder": str(folder), "output": output.name}
        warm_jobs = warm_jobs and sys.platform == "linux"
        command |= {"environment": environment(folder), "warm_jobs": warm_jobs}
        print(json.dumps(command), file=warm().stdin)
        warm().stdin.flush()
        status, text = int(warm().stdout.readline()), output.read()
    assert not check or status == 0, text
    return subprocess.CompletedProcess(["snakemake", *arguments], status, text)


def start(folder, *arguments, config=("config/smoke.yaml",), stdout):
    """Start Snakemake in a copy, as a session and so a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "snakemake", *arguments, "--configfile", *config],
        cwd=folder,
        env=environment(folder),
        stdout=stdout,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def environment(folder):
    """This process's environment, in which the project is imported from a copy."""
    return os.environ | {"PYTHONPATH": str(folder)}


def jobs(output):
    """What Snakemake said of its jobs: rule by number of those begun, numbers of those finished."""
    began = re.findall(
        r"^(?:local)?rule (\w+):\n(?:    .*\n)*?    jobid: (\d+)$", output, re.MULTILINE
    )
    finished = re.findall(r"^Finished jobid: (\d+) ", output, re.MULTILINE)
    return {number: rule for rule, number in began}, finished


def is_alive(pid):
    """True while a process is there, stopped or not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def scripts(process):
    """The processes of the scripts that a Snakemake runs."""
    children = Path(f"/proc/{process.pid}/task").glob("*/children")
    return [int(pid) for path in children for pid in path.read_text().split()]


def planned(folder, targets=(), **settings):
    """The jobs that a dry-run would execute: rule and wildcards of each."""
    output = snakemake(folder, *targets, "--dry-run", **settings).stdout
    jobs = re.findall(r"^(?:local)?rule (\w+):\n((?:    .*\n)*)", output, flags=re.MULTILINE)
    listing = []
    for rule, body in jobs:
        found = re.search(r"wildcards: (.*)", body)
        listing.append((rule, dict(re.findall(r"(\w+)=([^,\n]+)", found[1])) if found else {}))
    if not listing:
        assert "Nothing to be done" in output, output
    return listing


def configure(folder, **changes):
    """Change the smoke preset of a copy, section by section."""
    path = folder / "config" / "smoke.yaml"
    config = yaml.safe_load(path.read_text())
    for key, value in changes.items():
        if isinstance(value, dict):
            config[key] = config.get(key, {}) | value
        else:
            config[key] = value
    path.write_text(yaml.safe_dump(config))


def results(folder):
    return folder / "results-smoke"


def comparable(tree):
    """The files of a results tree that two runs must have in common, but for seconds."""
    return [
        path
        for path in sorted(tree.rglob("*"))
        if path.suffix in (".safetensors", ".npy", ".npz", ".csv") and path.stem != "table5_latency"
    ]


def compare_results(expected, found):
    """Assert that two results trees are equal but for seconds; return how many files were."""
    paths = comparable(expected)
    for path in paths:
        other = found / path.relative_to(expected)
        if path.suffix == ".csv":
            first, second = (_without_timings(pd.read_csv(p)) for p in (path, other))
            pd.testing.assert_frame_equal(first, second, check_exact=True, obj=str(path))
        else:
            assert path.read_bytes() == other.read_bytes(), path
    return len(paths)


def _without_timings(table):
    table = table[[column for column in table if not column.startswith("seconds")]]
    if "metric" in table:
        table = table[~table["metric"].str.startswith("seconds")]
    if "table" in table:  # the scorecard
        table = table[table["table"] != "Table V"]
    return table.reset_index(drop=True)
