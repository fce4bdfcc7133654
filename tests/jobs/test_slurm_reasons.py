"""Reasons for which SLURM starts no job, as squeue gives them; a real SLURM is in tests/slurm."""

import pytest

from remibench.jobs.slurm import waiting

TIME = "--set-resources RULE:runtime=MINUTES"
LESS = "--set-resources RULE:mem_mb=MB"
OTHER = "--default-resources slurm_partition=NAME"
REASONS = {  # https://slurm.schedmd.com/job_reason_codes.html, and what squeue writes in full
    "PartitionTimeLimit": TIME,
    "QOSMaxWallDurationPerJobLimit": TIME,
    "AssocMaxWallDurationPerJobLimit": TIME,
    "AssocGrpWallLimit": "sacctmgr show associations",
    "PartitionNodeLimit": LESS,
    "PartitionConfig": LESS,
    "BadConstraints": LESS,
    "QOSMaxCpuPerJobLimit": LESS,
    "QOSMaxMemoryPerJob": LESS,
    "AssocMaxCpuPerJobLimit": LESS,
    "MaxGRESPerNode": LESS,
    "AccountNotAllowed": "--default-resources slurm_account=NAME",
    "QOSNotAllowed": "--default-resources slurm_account=NAME",
    "InvalidAccount": "--default-resources slurm_account=NAME",
    "InvalidQOS": "--default-resources slurm_account=NAME",
    "AssocGrpCpuLimit": "once others have ended",
    "AssocGrpGRES": "once others have ended",
    "AssocMaxJobsLimit": "once others have ended",
    "QOSMaxJobsPerUserLimit": "once others have ended",
    "QOSGrpMemLimit": "once others have ended",
    "MaxCpuPerAccount": "once others have ended",
    "PartitionDown": OTHER,
    "PartitionInactive": OTHER,
    "ReqNodeNotAvail": "sinfo -R",
    "ReqNodeNotAvail, UnavailableNodes:n[1-3]": "sinfo -R",
    "Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions": (
        "sinfo -R"
    ),
    "JobHeldUser": "scontrol release 7",
    "JobHeldAdmin": "scontrol release 7",
    "JobHoldMaxRequeue": "scontrol release 7",
    "launch failed requeued held": "scontrol release 7",
    "Licenses": "scontrol show job 7",
    "a | new reason": "scontrol show job 7",
}


@pytest.fixture
def queue(tmp_path, monkeypatch):
    """What a squeue that stands in for SLURM's lists, and a check of how it is asked."""
    command = tmp_path / "squeue"
    command.write_text(
        '#!/bin/sh\n[ "$*" = "--noheader --states=PENDING --me --format %i|%P|%l|%k|%r|%Z" ] '
        f"|| exit 1\nexec cat {tmp_path}/jobs\n"
    )
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    def hold(*lines, folder="/home/a|b"):
        (tmp_path / "jobs").write_text("".join(f"{line}|{folder}\n" for line in lines))

    return hold


@pytest.mark.parametrize(("reason", "fix"), REASONS.items(), ids=REASONS)
def test_a_job_that_does_not_start_is_named_with_reason_and_fix(queue, reason, fix):
    queue(f"7|gpu|40:00|rule_unlearn_wildcards_fmnist_cnn_0|{reason}")
    [line] = waiting("/home/a|b", set())
    assert line.startswith(
        f"SLURM does not start job 7 (unlearn fmnist_cnn_0): {reason} (partition gpu, "
        "time limit 40:00); "
    )
    assert fix in line
    assert "\n" not in line


@pytest.mark.parametrize("reason", ["None", "(Resources)", "Priority", "BeginTime", "Dependency"])
def test_a_job_that_waits_for_its_turn_is_not(queue, reason):
    queue(f"7|gpu|40:00|rule_unlearn|{reason}")
    assert waiting("/home/a|b", set()) == []


def test_jobs_with_one_reason_are_one_line_and_told_once(queue):
    told = set()
    jobs = [f"{n}|gpu|40:00|rule_unlearn|PartitionTimeLimit" for n in range(3)]
    queue(*jobs, "9|cpu|10:00|rule_evaluate|PartitionTimeLimit")
    first, second = waiting("/home/a|b", told)
    assert "job 0 (unlearn), nor 2 more: PartitionTimeLimit (partition gpu" in first
    assert "job 9 (evaluate): PartitionTimeLimit (partition cpu" in second
    assert waiting("/home/a|b", told) == []
    queue(*jobs, "0|gpu|40:00|rule_unlearn|JobHeldUser")
    [line] = waiting("/home/a|b", told)
    assert "JobHeldUser" in line


def test_jobs_of_another_folder_and_jobs_that_no_rule_submitted_are_none_of_the_runs(queue):
    job = "7|gpu|40:00|rule_unlearn|JobHeldUser"
    queue(job, folder="/home/a|b/c")
    assert waiting("/home/a|b", set()) == []
    queue(job.replace("rule_unlearn", "my analysis"))
    assert waiting("/home/a|b", set()) == []
    queue(job)
    assert len(waiting("/home/a|b", set())) == 1


def test_a_queue_that_cannot_be_asked_ends_nothing(queue, tmp_path, monkeypatch):
    queue()
    assert waiting("/home/a|b", set()) == []
    (tmp_path / "squeue").write_text("#!/bin/sh\necho 7 '|' gpu >&2; exit 1\n")
    assert waiting("/home/a|b", set()) == []
    monkeypatch.setenv("PATH", "")
    assert waiting("/home/a|b", set()) == []
