"""What rules ask for, and the profiles that hand it to a workstation or a cluster."""

import re
from types import SimpleNamespace

import pytest
import yaml
from support.smoke import ROOT, copy_repository, snakemake

from remibench.components import plugins
from remibench.components.contracts import check_plugins
from remibench.components.declarations import constant
from remibench.components.registry import components
from remibench.errors import RemibenchError
from remibench.jobs.resources import RULES, job_resources

BUILD = "def build_backbone(channels, image_size): ..."
PROFILES = ["default", "gpu", "slurm"]  # kubernetes is planned in test_remote.py


def asked(rule, architecture, device="cpu", attempt=1):
    """The resources of a job as numbers."""
    job = SimpleNamespace(architecture=architecture)
    values = job_resources(rule, device)
    return {name: v(job, attempt) if callable(v) else v for name, v in values.items()}


def test_every_attempt_asks_for_more():
    first, third = (asked("unlearn", "vgg19", "cuda", attempt) for attempt in (1, 3))
    for name in ("mem_mb", "vram_mb", "runtime"):
        assert third[name] == 3 * first[name] > 0
    assert first["gpu"] == third["gpu"] == 1


def test_no_gpu_is_asked_for_on_the_cpu_or_by_a_rule_without_a_model():
    for job in (asked("train_model", "cnn"), asked("gather", "", "cuda")):
        assert job["gpu"] == job["vram_mb"] == 0


@pytest.mark.parametrize("rule", RULES)
def test_every_architecture_declares_every_rule_and_another_asks_for_the_most(rule):
    files = components("models")
    assert all(set(constant(file, "RESOURCES")) == set(RULES) for file in files.values())
    known = [asked(rule, architecture) for architecture in files]
    most = {name: max(need[name] for need in known) for name in known[0]}
    assert asked(rule, "unheard_of") == most


def test_a_plugin_asks_for_what_it_declares_and_else_for_the_most(tmp_path):
    file = tmp_path / "models/tiny.py"
    file.parent.mkdir()
    file.write_text(f"{BUILD}\nRESOURCES = {{'unlearn': (1234, 5)}}")
    try:
        plugins.activate([tmp_path])
        assert asked("unlearn", "tiny") == {"mem_mb": 1234, "runtime": 5, "gpu": 0, "vram_mb": 0}
        assert asked("evaluate", "tiny") == asked("evaluate", "vgg19")
        file.write_text(f"{BUILD}\nRESOURCES = {{'unlearn': 1234}}")
        with pytest.raises(RemibenchError, match=r"tiny.py: `RESOURCES` is \{rule: .MB of memory"):
            check_plugins()
    finally:
        plugins.activate([])


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return copy_repository(tmp_path_factory.mktemp("project"))


def plan(project, *arguments):
    """The jobs of a dry-run: rule and resources of each."""
    output = snakemake(project, "--dry-run", *arguments).stdout
    jobs = re.findall(r"^(?:local)?rule (\w+):\n((?:    .*\n)*)", output, flags=re.MULTILINE)
    return [
        (rule, dict(re.findall(r"(\w+)=([^,\n]+)", re.search("resources: (.*)", body)[1])))
        for rule, body in jobs
        if rule != "all"
    ]


@pytest.mark.parametrize("profile", PROFILES)
def test_every_job_of_every_profile_asks_for_memory_time_and_gpus(project, profile):
    if profile == "slurm":
        pytest.importorskip("snakemake_executor_plugin_slurm", reason="plugin not installed")
    jobs = plan(project, "--workflow-profile", f"profiles/{profile}")
    assert len(jobs) > 40
    for rule, resources in jobs:
        assert {"mem_mb", "runtime", "gpu", "vram_mb"} <= set(resources), rule
        on_gpu = profile == "gpu" and rule in RULES
        assert resources["gpu"] == str(int(on_gpu)), rule


def test_the_profiles_agree_where_machines_do_not_matter():
    default, *others = (
        yaml.safe_load((ROOT / f"profiles/{name}/config.yaml").read_text())
        for name in [*PROFILES, "kubernetes"]
    )
    del default["cores"]
    for profile in others:
        assert default.items() <= profile.items()
