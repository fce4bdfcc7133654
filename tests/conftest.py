"""What tests share: small models and data, and a run of the smoke grid."""

import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from snakemake.utils import available_cpu_count
from support.smoke import ROOT, copy_repository, snakemake
from support.tasks import make_task

from remibench.components import plugins
from remibench.components.contracts import check_plugins
from remibench.errors import RemibenchError
from remibench.models import ModelSpec, build_model

torch.set_num_threads(1)  # as in a job; small tensors gain nothing from more


def pytest_addoption(parser):
    """``--plugins FOLDER``: what test_contracts.py tests in place of the package.

    ``--device cpu``: a stand-in for the GPU, for tests/jobs/test_gpu.py.
    """
    parser.addoption(
        "--plugins", dest="plugin_folders", action="append", default=[], metavar="FOLDER"
    )
    parser.addoption(
        "--device",
        choices=("cuda", "cpu"),
        default="cuda",
        help="what tests marked gpu compare with the CPU; cpu is a rehearsal of the tests",
    )


def pytest_configure(config):
    """Make the plug-ins parts of the package before any test module asks for the registry."""
    try:
        plugins.activate(config.getoption("plugin_folders"))
        check_plugins()
    except RemibenchError as error:
        raise pytest.UsageError(str(error)) from error


def pytest_xdist_auto_num_workers():
    """One process more than there are cores: some tests wait, for jobs, signals and browsers."""
    return available_cpu_count() + 1


def pytest_collection_modifyitems(items):
    """Runs of Snakemake come first: a file that takes minutes is not the last of one process."""
    items.sort(key=lambda item: "workflow" not in item.path.parts)


@pytest.fixture
def spec():
    """A CNN on grey 24×24 images with 4 classes."""
    return ModelSpec("cnn", channels=1, image_size=24, classes=4, mean=(0.13,), std=(0.31,))


@pytest.fixture
def model(spec):
    """A freshly initialised classifier in evaluation mode."""
    return build_model(spec, seed=1).eval()


@pytest.fixture
def data():
    """24 random images and labels of the spec's shape."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (24, 1, 24, 24), dtype=torch.uint8, generator=generator)
    return images, torch.randint(4, (24,), generator=generator)


@pytest.fixture
def task(spec, data):
    """A small unlearning task on a fitted target."""
    return make_task(spec, data)


@pytest.fixture
def small_disk(tmp_path):
    """A tmpfs of 64 KiB; needs the right to mount, as in a container run by root."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a tmpfs is not permitted here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.fixture(scope="session")
def finished(tmp_path_factory, request):
    """A copy of the repository in which the smoke grid has run once, on two cores.

    Of several test processes the first one runs it, and every other takes a copy, with its times.
    """
    folder = tmp_path_factory.mktemp("finished")
    if not hasattr(request.config, "workerinput"):
        snakemake(copy_repository(folder), "--cores", "2", warm_jobs=False)
        return folder
    shared = tmp_path_factory.getbasetemp().parent / "finished"
    with FileLock(f"{shared}.lock"):
        if not shared.exists():
            snakemake(copy_repository(folder), "--cores", "2", warm_jobs=False)
            shutil.copytree(folder, f"{shared}.part", symlinks=True)
            Path(f"{shared}.part").rename(shared)
            return folder
    return shutil.copytree(shared, folder, symlinks=True, dirs_exist_ok=True)


@pytest.fixture
def copied(finished, tmp_path):
    """A copy of the finished copy, with its times: what happens to it stays there."""
    return shutil.copytree(finished, tmp_path / "copied", symlinks=True)


@pytest.fixture
def project(finished):
    """The finished copy; its sources and config are restored afterwards."""
    yield finished
    for name in ("config", "config.yaml", "remibench"):
        source = ROOT / name
        for path in [source] if source.is_file() else source.rglob("*"):
            copy = finished / path.relative_to(ROOT)
            if copy.is_file() and copy.read_bytes() != path.read_bytes():
                shutil.copy2(path, copy)
