"""Kill a run again and again with ``kill -9``, and restart it.

Most kills are of the whole process group. At ``stopped`` moments the running scripts are stopped
(SIGSTOP) and Snakemake alone is killed: they must end with it. At ``rival`` moments all are stopped
and a second Snakemake, in another clone and with another config, is started on the same results
before the kill: it must be refused.
"""

import contextlib
import os
import re
import signal
import time
from typing import NamedTuple

import numpy as np
from support.smoke import is_alive, jobs, results, scripts, snakemake, start

MOMENTS = ("start", "stopped", "rival", "job", "epoch")  # of the kills, in equal numbers
AT_EPOCHS = ("stopped", "epoch")
LONGEST = 0.5  # seconds from that moment to the kill


class Kill(NamedTuple):
    """One kill: its moment, seconds since that start of Snakemake, and rules then running."""

    moment: str
    seconds: float
    running: list[str]


class Chaos(NamedTuple):
    """What happened: every kill, epochs after which jobs resumed, and seconds in all."""

    kills: list[Kill]
    resumed: list[int]
    seconds: float


def run_with_kills(folder, rival, targets, config, kills, total, seed):
    """Run Snakemake in a copy until its targets are complete, killed so many times on the way.

    The moments are spread over the run's length, whatever the machine's speed: up to half a second
    after the start of Snakemake or after a number of finished jobs that the seed chooses, and at
    the next epoch that is saved (or a number of finished jobs, if there is none). ``total`` is the
    number of jobs, the ``rival`` the other clone.
    """
    rng = np.random.default_rng(seed)
    moments = rng.permutation(np.resize(MOMENTS, kills)).tolist()
    thresholds = (np.arange(kills) + rng.random(kills)) * 0.8 * total / kills
    began, finished, listing, resumed = time.monotonic(), 0, [], []
    for moment, threshold in zip(moments, thresholds, strict=True):
        if moment in AT_EPOCHS:  # more time for it
            threshold = min(threshold + 2 * total / kills, 0.8 * total)
        if listing:
            snakemake(folder, "--unlock", *targets, config=config)
        log, started = folder / f"attempt{len(listing)}.log", time.time()
        with log.open("w") as stdout:
            process = start(folder, *targets, config=config, stdout=stdout)
        while not _is_here(moment, folder, log, started, threshold - finished):
            assert process.poll() is None, f"it ended before a kill: {log.read_text()}"
            time.sleep(0.02)
        if moment not in AT_EPOCHS:
            time.sleep(rng.uniform(0, LONGEST))
        assert process.poll() is None, f"it ended before a kill: {log.read_text()}"
        if moment == "rival":
            os.killpg(process.pid, signal.SIGSTOP)  # lest it ends meanwhile
            _start_rival(rival, folder, targets, config)
        if moment == "stopped":
            _kill_parent(process)
        else:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        running, done = jobs(log.read_text())
        finished += len(done)
        unfinished = sorted(rule for number, rule in running.items() if number not in done)
        listing.append(Kill(moment, round(time.time() - started, 1), unfinished))
        resumed += _resumed(folder, started)
        print(f"{listing[-1]}, {finished} of {total} finished, resumed: {resumed}", flush=True)
    snakemake(folder, "--unlock", *targets, config=config)
    started = time.time()
    snakemake(folder, *targets, config=config)
    resumed += _resumed(folder, started)
    return Chaos(listing, resumed, time.monotonic() - began)


def _kill_parent(process):
    """Stop the scripts that a Snakemake runs, and kill it alone; wait until they have ended."""
    stopped = scripts(process)
    for pid in stopped:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    process.kill()
    deadline = time.monotonic() + 60
    while any(map(is_alive, stopped)):
        assert time.monotonic() < deadline, "stopped scripts outlive their Snakemake"
        time.sleep(0.02)


def _start_rival(rival, folder, targets, config):
    """Start a Snakemake with another config on the results of a running one, and see it refused."""
    tree = results(folder)
    targets = [target.replace(tree.name, str(tree), 1) for target in targets]
    settings = [*targets, "--config", f"results={tree}", "training={'epochs': 1}"]
    done = snakemake(rival, *settings, config=config, check=False)
    assert done.returncode != 0, done.stdout
    assert f"{tree} is written by another run" in done.stdout, done.stdout


def _is_here(moment, folder, log, started, threshold):
    if moment == "start":
        return True
    if moment in AT_EPOCHS and _since(started, folder.glob("results*/progress/[!.]*")):
        return True
    running, done = jobs(log.read_text())
    return len(done) >= threshold and len(running) > len(done)


def _resumed(folder, started):
    """Epochs after which jobs that began since then resumed; every start rewrites a job's log."""
    logs = _since(started, folder.glob("results*/logs/**/*.log"))
    found = (re.search(r"resumed after epoch (\d+)", path.read_text()) for path in logs)
    return [int(match[1]) for match in found if match]


def _since(moment, paths):
    """Those of the files that were written since then and are still there."""
    found = []
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            found += [path] if path.stat().st_mtime > moment else []
    return found
