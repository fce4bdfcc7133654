"""All that a machine with one GPU is asked in some minutes: tests, benchmarks, a column, a plan.

``python -m benchmarks.gpu_check --out FOLDER --minutes N``, or ``make gpu-check``. Every stage is a
process of its own with a share of the time, ended when that is over, and what it had found by then
is kept. FOLDER gets at most eight files of at most 16 MiB, with a README.md that says what was
measured and what was not. Imports nothing but the standard library: ``--wheels`` may have to
install the rest.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import importlib.metadata
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path

STAGES = ("tests", "benchmarks", "column", "plan")
ROOT = Path(__file__).parents[1]
MAX_BYTES = 16 * 2**20  # of a file that is brought back
GRACE = 20  # seconds in which a stage that is told to stop saves what it has
PACKING = 15  # seconds for writing the folder
VERSIONS = ("torch", "torchvision", "numpy", "snakemake")
# What a results tree has that is large or made anew: models, images, interrupted trainings.
LEFT_BEHIND = (".safetensors", ".npy", ".npz")


class Check:
    """One call: its clock, its environment, and what its stages did.

    Args:
        options: The parsed command line.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.started = time.monotonic()
        self.total = 60 * options.minutes
        self.until = self.started + self.total - min(PACKING, 0.1 * self.total)
        # What the plan is left of the time: Snakemake lists all jobs of the full grid.
        self.planning = min(60.0, 0.25 * self.total) if "plan" in options.stages else 0.0
        self.out = Path(options.out).resolve()
        self.out.mkdir(parents=True, exist_ok=True)
        self.logs = Path(tempfile.mkdtemp(prefix="gpu-check-"))
        self.results = f"results-gpu_check_{options.device}"
        self.environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        if os.environ.get("PYTHONPATH"):
            self.environment["PYTHONPATH"] += os.pathsep + os.environ["PYTHONPATH"]
        self.stages: dict[str, dict] = {}
        self.missing: list[str] = []  # what could not be done, in sentences

    def left(self) -> float:
        """Seconds until the folder has to be written."""
        return self.until - time.monotonic()

    def run(self, stage: str, command: Sequence[str], seconds: float) -> int | None:
        """Run a process of a stage, at most so many seconds; its status, or None if it was ended.

        Its output is appended to the stage's log. SIGTERM goes to all its processes: trainings
        then save their epoch and Snakemake starts nothing more. Who does not end is killed.
        """
        grace = min(GRACE, 0.2 * seconds)
        with (self.logs / f"{stage}.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                return process.wait(max(0.0, seconds - grace))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(grace)
                return None
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def log(self, stage: str) -> str:
        """What the processes of a stage have printed."""
        path = self.logs / f"{stage}.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def install(check: Check, wheels: Path) -> None:
    """Put the wheels of a folder, and this project's name, where stages find them."""
    site = Path(tempfile.mkdtemp(prefix="gpu-check-site-"))
    files = sorted(str(path) for path in wheels.glob("*.whl"))
    if not files:
        sys.exit(f"gpu-check: {wheels} holds no wheel; name a folder of .whl files")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    status = check.run(
        "install", [*pip, "--no-compile", "--target", str(site), *files], check.left()
    )
    if status != 0:
        sys.exit(f"gpu-check: pip failed: {check.log('install').strip()[-500:]}")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    metadata = site / f"{project['name']}-{project['version']}.dist-info" / "METADATA"
    metadata.parent.mkdir(exist_ok=True)
    metadata.write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    check.environment["PYTHONPATH"] = f"{site}{os.pathsep}{check.environment['PYTHONPATH']}"
    check.environment["PATH"] = f"{site / 'bin'}{os.pathsep}{os.environ['PATH']}"
    sys.path.insert(0, str(site))


def run_tests(check: Check) -> None:
    """The tests marked gpu; with the CPU as a stand-in, some of them."""
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "tests/jobs/test_gpu.py", "-v", "-rs"]
    command += ["-p", "no:cacheprovider", "--durations=10", "--device", check.options.device]
    if check.options.device == "cpu":
        command += ["-k", "dropout or places or accuracy"]
    status = check.run("tests", command, min(100, 0.25 * check.total, check.left()))
    text = check.log("tests")
    outcome = re.findall(r"=+ (.*(?:passed|failed|skipped|error).*?) =+$", text, re.MULTILINE)
    ended = "ended before its end: the time was over" if status is None else "no summary"
    check.stages["tests"]["outcome"] = outcome[-1] if outcome else ended
    if status != 0:
        failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", text, re.MULTILINE)
        check.missing.append(f"Tests: {check.stages['tests']['outcome']}. {', '.join(failed)}")
    (check.out / "tests.txt").write_text(text[-200_000:], encoding="utf-8")


def run_benchmarks(check: Check) -> None:
    """Rates of training on the device, and hot paths against the reference."""
    seconds = check.left() - check.planning
    if "column" in check.options.stages:
        seconds = min(seconds, 0.37 * check.total)
    path = check.out / "benchmarks.csv"
    command = [sys.executable, "-m", "benchmarks.gpu", str(path)]
    command += ["--device", check.options.device, "--seconds", str(0.8 * seconds)]
    status = check.run("benchmarks", command, seconds)
    rows = read_rows(path)
    measured = sum(bool(row["value"]) for row in rows)
    check.stages["benchmarks"]["outcome"] = f"{measured} of {len(rows)} rows have a value"
    if status != 0:
        check.missing.append(
            "Benchmarks: ended when their time was over; later rows are missing."
            if status is None
            else f"Benchmarks: status {status}. {check.log('benchmarks').strip()[-300:]}"
        )
    check.missing += [
        f"{row['section']}, {row['name']}, {row['mode']} {row['precision']}: {row['note']}"
        for row in rows
        if not row["value"]
    ]


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of the benchmarks' CSV; none if there is none."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def run_column(check: Check, until: float) -> None:
    """One column, earlier seeds first (the rules' priority), until the time is over.

    Args:
        check: The call.
        until: When the time of this stage is over, on the monotonic clock.
    """
    seeds = list(range(check.options.seeds))
    gathering = min(45.0, 0.25 * (until - time.monotonic()))
    status = check.run(
        "column",
        workflow(check, seeds, "--until", "evaluate", "--nolock"),
        until - gathering - time.monotonic(),
    )
    finished = [seed for seed in seeds if is_finished(check, seed)]
    if status != 0:
        reason = "the time was over" if status is None else f"Snakemake's status was {status}"
        check.missing.append(f"Column: {reason}; finished of {len(seeds)} seeds: {finished}.")
    check.stages["column"]["seeds"] = finished
    check.stages["column"]["outcome"] = f"{len(finished)} seeds finished"
    if finished:
        command = workflow(check, finished, "--nolock")
        if check.run("column", command, until - time.monotonic()) != 0:
            check.missing.append(
                "Column: tables and figures were not all made; the rows are there."
            )


def workflow(check: Check, seeds: Sequence[int], *arguments: str) -> list[str]:
    """A call of Snakemake for the column with some seeds, packed onto the device."""
    options = check.options
    profile = "profiles/gpu" if options.device == "cuda" else "profiles/default"
    settings = [f"results={check.results}", f"device={options.device}", f"seeds={list(seeds)}"]
    return [
        *(sys.executable, "-m", "snakemake", *arguments, "--workflow-profile", profile),
        *("--cores", "all", "--resources", f"gpu={options.jobs}", "--retries", "0"),
        *("--configfile", *options.configs, "--config", *(s.replace(" ", "") for s in settings)),
    ]


def is_finished(check: Check, seed: int) -> bool:
    """Whether every method and control of that seed was evaluated."""
    import yaml

    from remibench.artifacts.paths import ARTIFACTS

    config: dict = {}
    for path in ("config.yaml", *check.options.configs):
        config |= yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))
    models = [*config["methods"], *config.get("controls", [])]
    cells = product(config["datasets"], config["architectures"], models)
    axes = ({"dataset": d, "architecture": a, "seed": seed, "method": m} for d, a, m in cells)
    pattern = ARTIFACTS["metrics"]
    return all(Path(ROOT, check.results, pattern.format(**cell)).exists() for cell in axes)


def run_plan(check: Check) -> None:
    """Hours of the full grid on this device, from what was measured."""
    overlay = check.logs / "device.yaml"
    overlay.write_text(f"device: {check.options.device}\n", encoding="utf-8")
    command = [sys.executable, "-m", "benchmarks.gpu_plan", *check.options.plan, str(overlay)]
    command += ["--benchmarks", str(check.out / "benchmarks.csv"), "--measured", check.results]
    status = check.run("plan", command, check.left())
    text = check.log("plan")
    (check.out / "plan.txt").write_text(text, encoding="utf-8")
    hours = re.search(r"^(?:GPU|CPU) hours: .*$", text, re.MULTILINE)
    check.stages["plan"]["outcome"] = hours[0] if hours else "no hours"
    if status != 0:
        reason = "the time was over" if status is None else text.strip()[-300:]
        check.missing.append(f"Plan: {reason}")


def pack(path: Path, files: Iterable[tuple[Path, str]], missing: list[str]) -> None:
    """Write an archive of files, in this order as long as their sizes sum to what may come back."""
    room, left = MAX_BYTES - 2**20, 0
    with tarfile.open(path, "w:gz") as archive:
        for source, name in files:
            if source.stat().st_size > room:
                left += 1
                continue
            room -= source.stat().st_size
            archive.add(source, name)
    if left:
        missing.append(
            f"{path.name}: {left} files were left out, {MAX_BYTES:,} bytes are the most."
        )


def write_folder(check: Check) -> None:
    """Archives of the column and of all logs, and the page and record of all."""
    tree = ROOT / check.results
    if tree.is_dir():
        files = sorted(path for path in tree.rglob("*") if path.is_file())
        names = [(path, f"{check.results}/{path.relative_to(tree)}") for path in files]
        small = [(p, n) for p, n in names if p.suffix not in LEFT_BEHIND]
        # Rows before figures: what cannot be made again from the rest comes first.
        small.sort(key=lambda item: item[0].suffix in (".png", ".pdf", ".svg", ".html"))
        pack(check.out / "column.tar.gz", small, check.missing)
        scores = [(p, n) for p, n in names if p.suffix == ".npz" and "/evaluation/" in n]
        if scores:
            pack(check.out / "scores.tar.gz", scores, check.missing)
    logs = [(path, path.name) for path in sorted(check.logs.iterdir())]
    pack(check.out / "logs.tar.gz", logs, check.missing)
    record = {
        "machine": machine(),
        "device": check.options.device,
        "minutes": check.options.minutes,
        "seconds": round(time.monotonic() - check.started, 1),
        "stages": check.stages,
        "missing": check.missing,
    }
    (check.out / "check.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (check.out / "README.md").write_text(page(check, record), encoding="utf-8")


def machine() -> dict[str, object]:
    """The card, the processor's cores and the versions of packages."""
    query = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        listing = subprocess.run(query, capture_output=True, text=True, check=True, timeout=20)
        cards = listing.stdout.strip().splitlines()
    except (OSError, subprocess.SubprocessError):
        cards = []
    versions = {"python": platform.python_version()}
    for name in VERSIONS:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return {"cards": cards, "cores": os.cpu_count(), "versions": versions}


def page(check: Check, record: dict) -> str:
    """README.md of the folder."""
    about = record["machine"]
    cards = "; ".join(about["cards"]) or "none"
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    lines = ["# GPU check", ""]
    if record["device"] == "cpu":
        lines += ["**A rehearsal: the CPU stood in for the GPU. No number tells of a GPU.**", ""]
    lines += [
        f"GPU: {cards} (name, memory, driver). {about['cores']} CPU cores; {versions}. "
        f"{record['seconds']:.0f} of {60 * record['minutes']:.0f} s.",
        "",
        *("| stage | seconds | outcome |", "|---|---|---|"),
        *(f"| {n} | {s['seconds']:.0f} | {s['outcome']} |" for n, s in record["stages"].items()),
        *("", "## What it could not do", ""),
        *([f"- {' '.join(each.split())}" for each in record["missing"]] or ["Nothing."]),
        "",
    ]
    rows = read_rows(check.out / "benchmarks.csv")
    for section in dict.fromkeys(row["section"] for row in rows):
        lines += [f"## {section[0].upper()}{section[1:]}", ""]
        lines += ["| | mode | precision | | | |", "|---|---|---|--:|---|---|"]
        for row in rows:
            if row["section"] == section and row["value"]:
                number = float(row["value"])
                value = f"{number:,.4g}" if number < 1e4 else f"{number:,.0f}"
                cells = row["name"], row["mode"], row["precision"], value, row["unit"], row["note"]
                lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    printed = {
        "The column": ROOT / check.results / "summary.txt",
        "The full grid": check.out / "plan.txt",
    }
    for title, file in printed.items():
        if file.exists():
            text = file.read_text(encoding="utf-8").strip()
            lines += [f"## {title}", "", "```", text, "```", ""]
    return "\n".join(lines)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_check", description=__doc__)
    parser.add_argument("--out", required=True, help="folder for the results")
    parser.add_argument("--minutes", type=float, default=9.5, help="all stages and the packing")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--stages", default=",".join(STAGES), help="some of them, with commas")
    parser.add_argument("--wheels", type=Path, help="folder of wheels to install first")
    column = ["config/paper.yaml", "config/fmnist_cnn.yaml"]
    parser.add_argument("--configs", nargs="+", default=column, help="the column's config")
    parser.add_argument("--plan", nargs="+", default=column[:1], help="the config to plan")
    parser.add_argument("--seeds", type=int, default=20, help="seeds of the column at most")
    parser.add_argument("--jobs", type=int, default=12, help="jobs on the GPU at once")
    options = parser.parse_args(arguments)
    options.stages = options.stages.split(",")
    if unknown := set(options.stages) - set(STAGES):
        parser.error(f"--stages: {min(unknown)!r} is none of {', '.join(STAGES)}")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the stages, and write the folder whatever becomes of them."""
    check = Check(parse(arguments))
    # The folder is written all the same.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("gpu-check: stopped by SIGTERM"))
    if check.options.wheels:
        install(check, check.options.wheels)
    actions = {
        "tests": run_tests,
        "benchmarks": run_benchmarks,
        "column": lambda check: run_column(check, check.until - check.planning),
        "plan": run_plan,
    }
    try:
        for name in STAGES:
            if name not in check.options.stages:
                check.missing.append(f"Stage {name} was not asked for.")
                continue
            begun = time.monotonic()
            check.stages[name] = {"outcome": "failed", "seconds": 0.0}
            print(f"gpu-check: {name}, {check.left():.0f} s left", flush=True)
            try:
                actions[name](check)
            except Exception as error:  # the other stages run all the same
                check.missing.append(f"Stage {name}: {type(error).__name__}: {error}")
            check.stages[name]["seconds"] = round(time.monotonic() - begun, 1)
            print(f"gpu-check: {name}: {check.stages[name]['outcome']}", flush=True)
    finally:
        write_folder(check)
        shutil.rmtree(check.logs)
    print((check.out / "README.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
