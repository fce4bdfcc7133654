"""Jobs that SLURM does not start: why, and what to do, said while the run goes on.

SLURM accepts a job that asks for more than its partition allows (unless its administrator has set
``EnforcePartLimits``) and lets it wait for ever. Snakemake then waits, too, and says nothing.
"""

from __future__ import annotations

import re
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Callable

INTERVAL = 20  # seconds between two looks at the queue
# The reasons of jobs that only wait for their turn, or at which no scheduler has looked yet.
_TURN = {"None", "", "Resources", "Priority", "BeginTime", "Prolog", "Cleaning", "Dependency"}
_TIME = "ask for less time (--set-resources RULE:runtime=MINUTES)"
_PARTITION = "name another partition (--default-resources slurm_partition=NAME)"
_FIXES = (  # https://slurm.schedmd.com/job_reason_codes.html; the first that fits
    (r"PartitionTimeLimit|\w*MaxWall\w*", f"{_TIME} or {_PARTITION}; `sinfo` shows the limits"),
    (
        r"PartitionNodeLimit|PartitionConfig|BadConstraints|\w*Max\w*Per(Job|Node)\w*",
        f"ask for less (--set-resources RULE:mem_mb=MB) or {_PARTITION}; "
        "`scontrol show partition` shows the limits",
    ),
    (
        r"\w*(Account|QOS)NotAllowed|Invalid(Account|QOS)",
        "name an account that may run there (--default-resources slurm_account=NAME), or "
        "another partition; `sacctmgr show associations user=$USER` lists yours",
    ),
    (
        r"(Assoc|QOS|Max)\w+",
        "a limit of your account or its quality of service: the job starts once others have ended, "
        "unless it asks for more than the limit; `sacctmgr show associations user=$USER` and "
        "`sacctmgr show qos` show the limits",
    ),
    (
        r"Partition(Down|Inactive)|ReqNodeNotAvail.*|Nodes required.*|NodeDown|FrontEndDown",
        f"wait until the nodes are back (`sinfo -R` says why they are not), or {_PARTITION}",
    ),
    (r"JobHeld\w+|JobHoldMaxRequeue|.* held", "`scontrol release JOB` lets it start"),
)


def watch_queue(folder: str, say: Callable[[str], object]) -> None:
    """Say of Snakemake's jobs, until this process ends, what keeps SLURM from starting them.

    Args:
        folder: The folder that Snakemake was started in, and submits its jobs in.
        say: Gets each line. Jobs with one reason in one partition are one line, once.
    """

    def watch() -> None:
        told: set[tuple[str, str]] = set()
        while True:
            time.sleep(INTERVAL)
            for line in waiting(folder, told):
                say(line)

    threading.Thread(target=watch, daemon=True).start()


def waiting(folder: str, told: set[tuple[str, str]]) -> list[str]:
    """A line for each reason and partition of this user's pending jobs, but those already told.

    Args:
        folder: The working folder of the jobs; others, and jobs that are no rule's, are left out.
        told: Reasons and partitions that were told before; gets those that are told now.

    Returns:
        The lines; none where jobs only wait for their turn.
    """
    columns = "%i|%P|%l|%k|%r|%Z"
    command = ["squeue", "--noheader", "--states=PENDING", "--me", "--format", columns]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):  # an outage: the plug-in says that itself
        return []
    jobs: dict[tuple[str, str], list[list[str]]] = defaultdict(list)
    submitted = f"|{folder}"  # a folder's name may have bars in it
    for line in map(str.strip, done.stdout.splitlines()):
        if not line.endswith(submitted):
            continue
        number, partition, limit, what, reason = line.removesuffix(submitted).split("|", 4)
        reason = reason.strip().strip("()")
        ours = what.startswith("rule_") and reason not in _TURN
        if ours and (key := (reason, partition)) not in told:
            jobs[key].append([number, limit, what])
    told.update(jobs)
    return [_line(*key, *found[0], len(found) - 1) for key, found in jobs.items()]


def _line(reason: str, partition: str, number: str, limit: str, what: str, others: int) -> str:
    what = what.removeprefix("rule_").replace("_wildcards_", " ")
    fix = next(
        (fix for pattern, fix in _FIXES if re.fullmatch(pattern, reason)),
        "`scontrol show job JOB` says more",
    ).replace("JOB", number)
    more = f", nor {others} more" if others else ""
    return (
        f"SLURM does not start job {number} ({what}){more}: {reason} (partition {partition}, "
        f"time limit {limit}); {fix}"
    )
