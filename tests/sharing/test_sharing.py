"""Archives of results trees, and two trees side by side."""

import copy
import hashlib
import json
import os
import shutil
import socket
import stat
import struct
import subprocess
import tracemalloc
import zipfile
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from rocrate.rocrate import ROCrate
from scipy import stats
from support import pages
from support.smoke import ROOT, results

from remibench.analysis.statistics import welch
from remibench.artifacts.io import save_array, save_arrays, save_tensors
from remibench.cli import main
from remibench.errors import RemibenchError
from remibench.sharing.archive import MANIFEST, Archive, verify
from remibench.sharing.compare import compare, compare_rows
from remibench.sharing.crate import NAME
from remibench.sharing.export import REQUIRED, export

DEFAULT = ROOT / "docs" / "results" / "default"


@pytest.fixture
def tree(tmp_path):
    """A copy of the committed default grid, with what a run has besides."""
    folder = shutil.copytree(DEFAULT, tmp_path / "results")
    made = (folder / "evaluation.csv").stat().st_mtime - 10
    for name, content in {
        "data/fmnist_embedded/images.npy": b"images",
        "data/fmnist_embedded/labels.npy": b"labels",
        "data/fmnist_embedded/metadata.json": json.dumps(
            {
                "identity": {"artifact": "metadata", "dataset": "fmnist_embedded"},
                "images_sha256": "2" * 64,
                "provenance": "real",
                "sources": {"images.gz": "1" * 64},
            }
        ).encode(),
        "models/fmnist_embedded/cnn/0/target.history.csv": b"epoch,loss\n1,2.0\n",
        "logs/train_model/target.log": b"/home/somebody",
        "progress/0.safetensors": b"half a model",
        ".snakemake_timestamp": b"",
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (made, made))
    splits = folder / "data/fmnist_embedded/splits.npz"
    save_arrays(splits, {"target_train": np.arange(800)})
    model = folder / "models/fmnist_embedded/cnn/0/target.safetensors"
    save_tensors(model, {"weight": torch.arange(3000.0)}, {"kind": "classifier"})
    for path in (splits, model):
        os.utime(path, (made, made))
    return folder


@pytest.fixture
def archive(tree, tmp_path):
    """The archive of that tree, with checkpoints."""
    return export(tree, tmp_path / "shared.zip", checkpoints=True).path


# Export


def test_what_is_unpacked_is_what_was_exported(tree, archive, tmp_path):
    unpacked = tmp_path / "unpacked"
    with zipfile.ZipFile(archive) as file:
        file.extractall(unpacked)
    done = subprocess.run(
        ["sha256sum", "--strict", "--check", MANIFEST], cwd=unpacked, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    names = {str(p.relative_to(unpacked)) for p in unpacked.rglob("*") if p.is_file()}
    assert done.stdout.count(": OK\n") == len(names) - 1  # all but the manifest
    for name in names - {MANIFEST, NAME}:
        assert (unpacked / name).read_bytes() == (tree / name).read_bytes(), name
    own = {str(p.relative_to(DEFAULT)) for p in DEFAULT.rglob("*") if p.is_file()}
    assert own - names == {"figures/figure_forget_images.svg"}, "images of the dataset stay here"
    assert {name.split("/")[-1] for name in names - own - {MANIFEST, NAME}} == {
        *("splits.npz", "metadata.json", "target.safetensors", "target.history.csv")
    }


def test_without_checkpoints_no_weights_and_no_arrays(tree, tmp_path):
    done = export(tree, tmp_path / "small.zip")
    with Archive(done.path) as archive:
        assert not [n for n in archive.digests if n.endswith((".safetensors", ".npy", ".npz"))]
        assert "models/fmnist_embedded/cnn/0/target.history.csv" in archive.digests
    assert done.left_out == {
        "arrays of images and labels": 2,
        "checkpoints (CHECKPOINTS=1 adds them)": 2,
        "files with forget images": 1,
        "logs": 1,
        "progress": 1,
    }


def test_the_same_tree_gives_the_same_bytes_wherever_it_is(tree, archive, tmp_path):
    other = tmp_path / "elsewhere" / "copy"
    for path in sorted((p for p in tree.rglob("*") if p.is_file()), reverse=True):
        target = other / path.relative_to(tree)  # created in the opposite order
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
        target.chmod(0o600)
    done = export(other, tmp_path / "again.zip", checkpoints=True)
    assert done.path.read_bytes() == archive.read_bytes()
    assert done.sha256 == hashlib.sha256(archive.read_bytes()).hexdigest()


def test_a_real_run_is_exported_and_equal_to_itself(finished, tmp_path):
    for checkpoints in (False, True):
        path = export(results(finished), tmp_path / f"{checkpoints}.zip", checkpoints).path
        assert "are as listed" in verify(path)
    comparison = compare(results(finished), path)
    assert set(comparison.rows["verdict"]) == {"identical", "not judged"}
    assert comparison.settings.empty
    with Archive(path) as archive:
        models = [n for n in archive.digests if n.endswith(".safetensors")]
    assert len(models) == len(list(results(finished).rglob("*.safetensors"))) > 10


def test_a_large_file_is_never_in_memory(tree, tmp_path):
    path = tree / "models" / "large.npy"
    save_array(path, np.zeros(2**27, np.uint8))
    os.utime(path, (0, 0))
    tracemalloc.start()
    try:
        archive = export(tree, tmp_path / "large.zip", checkpoints=True).path
        assert tracemalloc.get_traced_memory()[1] < 2**26  # two pieces of the checksum
        tracemalloc.reset_peak()
        verify(archive)
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()
    assert archive.stat().st_size > 2**27  # stored as it is


@pytest.mark.parametrize(
    "name", ["data/fmnist_embedded/splits.npz", "models/fmnist_embedded/cnn/0/target.safetensors"]
)
@pytest.mark.parametrize("damage", [lambda c: c[:-9], lambda c: c[:900] + b"\x7f" + c[901:]])
def test_a_damaged_checkpoint_is_not_packed(tree, tmp_path, name, damage):
    """Its SHA-256 would be that of the damaged file, which `verify` would find as listed."""
    stamp = (tree / name).stat().st_mtime
    (tree / name).write_bytes(damage((tree / name).read_bytes()))
    os.utime(tree / name, (stamp, stamp))
    packed = tmp_path / "damaged.zip"
    refused(f"cannot read {tree / name}: ", export, tree, packed, True)
    assert not packed.exists()


@pytest.mark.parametrize("name", REQUIRED)
def test_half_a_tree_is_refused(tree, tmp_path, name):
    path = tree / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    refused(rf"results is not finished: it has no {name}; run", export, tree, tmp_path / "a.zip")
    assert not list(tmp_path.glob("*.zip"))


def test_models_that_are_newer_than_the_tables_are_refused(tree, tmp_path):
    late = tree / "unlearned" / "fmnist_embedded" / "0.1.safetensors"
    late.parent.mkdir(parents=True)
    late.write_bytes(b"")
    made = (tree / "evaluation.csv").stat().st_mtime + 1
    os.utime(late, (made, made))
    message = "unlearned/fmnist_embedded/0.1.safetensors is newer than evaluation.csv; run the same"
    refused(message, export, tree, tmp_path / "a.zip")


def test_numbers_of_another_config_are_refused(tree, tmp_path):
    path = tree / "config.yaml"
    config = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump(config | {"seeds": [0, 1, 2, 7]}))
    message = "evaluation.csv lacks fmnist_embedded cnn 7 original 0.1 and 7 other cells"
    refused(message, export, tree, tmp_path / "a.zip")


def test_links_are_not_followed(tree, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    (tree / "tables" / "more.txt").symlink_to(secret)
    refused("tables/more.txt is a link", export, tree, tmp_path / "a.zip")


def test_an_archive_is_never_overwritten(tree, archive):
    before = archive.read_bytes()
    refused("shared.zip exists; remove it or choose another ARCHIVE", export, tree, archive)
    assert archive.read_bytes() == before


def test_a_full_disk_leaves_nothing(tree, small_disk):
    refused("cannot write .*a.zip: No space left", export, tree, small_disk / "a.zip")
    assert not list(small_disk.iterdir())


# The crate


def test_another_library_reads_the_description(tree, tmp_path, monkeypatch):
    def no_network(*_, **__):
        raise AssertionError("asked for the network")

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    monkeypatch.setattr(socket.socket, "connect", no_network)
    crate = ROCrate(export(tree, tmp_path / "crate.zip").path)
    parts = {part.id for part in crate.root_dataset["hasPart"]}
    assert {"evaluation.csv", "config.yaml", "provenance.json", "figures/", "data/"} <= parts
    for name in (part for part in parts if not part.endswith("/")):
        content = (tree / name).read_bytes()
        assert crate.get(name)["sha256"] == hashlib.sha256(content).hexdigest()
        assert int(crate.get(name)["contentSize"]) == len(content)
    run = crate.root_dataset["mentions"]
    provenance = json.loads((tree / "provenance.json").read_text())
    assert run.type == "CreateAction"
    assert provenance["git_commit"] in run["instrument"]["softwareVersion"]
    needed = {e["name"]: e["softwareVersion"] for e in run["instrument"]["softwareRequirements"]}
    assert needed == {"python": provenance["python"], **provenance["libraries"]}
    config, dataset = run["object"]
    assert config.id == "config.yaml"
    assert [(e["name"], e["value"]) for e in dataset["identifier"]] == [
        ("images.gz", "1" * 64),
        ("images as they are used", "2" * 64),
    ]
    assert {part.id for part in run["result"]} == parts - {"config.yaml"}


# Verification


def entries(path):
    """Where each entry's data begin and end in a zip file, from its local headers."""
    with zipfile.ZipFile(path) as file:
        infos = file.infolist()
    content = path.read_bytes()
    for info in infos:
        name, extra = struct.unpack_from("<HH", content, info.header_offset + 26)
        start = info.header_offset + 30 + name + extra
        yield info.filename, start, start + info.compress_size


def test_a_flipped_byte_is_found_and_named(archive):
    whole = archive.read_bytes()
    tried = [entry for entry in entries(archive) if entry[2] > entry[1]]
    assert {Path(name).suffix for name, *_ in tried} >= {".csv", ".svg", ".safetensors", ".json"}
    for name, start, end in tried:
        damaged = bytearray(whole)
        damaged[(start + end) // 2] ^= 1
        archive.write_bytes(damaged)
        refused(f"shared.zip: {name} is damaged", verify, archive)
    archive.write_bytes(whole)
    assert "are as listed" in verify(archive)


def test_the_first_damaged_file_is_named(archive):
    damaged = bytearray(archive.read_bytes())
    places = {name: start for name, start, _ in entries(archive)}
    for name in ("provenance.json", "evaluation.csv"):
        damaged[places[name] + 30] ^= 255
    archive.write_bytes(damaged)
    refused("shared.zip: evaluation.csv is damaged", verify, archive)


def test_any_damage_is_refused_in_one_line_or_changes_no_content(archive):
    whole = archive.read_bytes()
    rng = np.random.default_rng(0)
    headers = whole.index(b"PK\x01\x02")  # the directory at the end
    places = [*rng.integers(len(whole), size=20), *rng.integers(headers, len(whole), size=100)]
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << rng.integers(8)
        archive.write_bytes(damaged)
        try:
            message = verify(archive)
        except RemibenchError as error:
            message = str(error)
        else:
            assert "are as listed" in message
        assert message.startswith(f"{archive}: ")
        assert "\n" not in message
    for size in (0, 1, 100, len(whole) // 2, headers, len(whole) - 1):
        archive.write_bytes(whole[:size])
        refused("shared.zip: the archive is damaged", verify, archive)


def forged(path, contents, prepare=lambda file: None, listed=None):
    """A zip file with a manifest that agrees with it."""
    lines = [
        f"{hashlib.sha256(content).hexdigest()}  {name}\n"
        for name, content in (listed or contents).items()
    ]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in contents.items():
            file.writestr(name, content)
        file.writestr(MANIFEST, "".join(lines))
        prepare(file)
    return path


@pytest.mark.parametrize(
    "name",
    [
        *("../evil.csv", "a/../../evil.csv", "/etc/evil.csv", "//host/evil.csv", "a\\evil.csv"),
        *("C:/evil.csv", "a//evil.csv", "./evil.csv", "..", "a/\x1b[2Jevil.csv", "evil\n.csv"),
    ],
)
def test_names_that_leave_the_folder_are_refused(tmp_path, name):
    path = forged(tmp_path / "forged.zip", {name: b"evil"})
    refused("forged.zip: the name '.*' is not that of a file inside it", verify, path)
    assert [p.name for p in tmp_path.iterdir()] == ["forged.zip"]


def link(path):
    def prepare(file):
        entry = zipfile.ZipInfo("link.csv")
        entry.create_system = 3
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        file.writestr(entry, "/etc/passwd")

    return forged(path, {"a.csv": b"a"}, prepare, {"a.csv": b"a", "link.csv": b"/etc/passwd"})


def bomb(path):
    return forged(path, {"evaluation.csv": bytes(2**25)})


def overlap(path):
    def prepare(file):
        twin = copy.copy(file.getinfo("a.csv"))
        twin.filename = twin.orig_filename = "b.csv"
        file.filelist.append(twin)

    content = np.random.default_rng(0).bytes(10_000)
    contents = {"a.csv": content}
    return forged(path, contents, prepare, {"a.csv": content, "b.csv": content})


def twice(path):
    with pytest.warns(UserWarning, match="Duplicate"):
        return forged(path, {"a.csv": b"a"}, lambda file: file.writestr("a.csv", "b"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (link, "'link.csv' is a link or a device"),
        (bomb, "'evaluation.csv' unpacks to 33,554,432 bytes, more than 200 times its size"),
        (overlap, "its files overlap"),
        (twice, "it has 'a.csv' twice"),
        (
            lambda p: forged(p, {"a.csv": b"a", "b.csv": b"b"}, listed={"a.csv": b"a"}),
            "'b.csv' is not in its manifest",
        ),
        (
            lambda p: forged(p, {"a.csv": b"a"}, listed={"a.csv": b"a", "b.csv": b"b"}),
            "'b.csv', which its manifest lists, is missing",
        ),
        (lambda p: forged(p, {"a.csv": b"a"}, listed={"a.csv": b"b"}), "a.csv is damaged"),
        (lambda p: forged(p, {"a.csv": b""}, listed={"a\nb": b""}), "line 2 of .* is damaged"),
    ],
)
def test_malicious_archives_are_refused(tmp_path, make, message):
    path = make(tmp_path / "forged.zip")
    refused(f"forged.zip: {message}", verify, path)


def test_what_is_no_archive(tmp_path):
    refused("absent.zip: no such archive", verify, tmp_path / "absent.zip")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as file:
        file.writestr("a.csv", "a")
    refused("other.zip: it has no manifest-sha256.txt", verify, tmp_path / "other.zip")


# Comparison


def made_up(seeds=8, shift=0.0, rng=0, scale=0.01):
    """Evaluations of a small grid; ``shift`` moves the test accuracy of retraining at 10 %."""
    rng = np.random.default_rng(rng)
    rows = []
    for method, ratio, metric, subset in product(
        ("retrain", "fisher"), (0.1, 0.5), ("accuracy", "loss", "efficacy"), ("forget", "test")
    ):
        moved = (method, ratio, metric, subset) == ("retrain", 0.1, "accuracy", "test")
        for seed, noise in enumerate(rng.normal(0, scale, seeds)):
            value = 0.8 + noise + shift * moved
            rows.append(("fmnist", "cnn", seed, method, ratio, subset, metric, value))
    rows += [("fmnist", "cnn", s, "fisher", 0.1, "", "seconds", 9 + s) for s in range(seeds)]
    axes = ["dataset", "architecture", "seed", "method", "forget_ratio", "subset", "metric"]
    return pd.DataFrame(rows, columns=[*axes, "value"])


def write_tree(folder, evaluation, config=None, **provenance):
    folder.mkdir()
    evaluation.to_csv(folder / "evaluation.csv", index=False, lineterminator="\n")
    (folder / "config.yaml").write_text(yaml.safe_dump(config or {"training": {"epochs": 5}}))
    (folder / "provenance.json").write_text(json.dumps({"git_commit": "a" * 40} | provenance))
    return folder


def test_a_tree_is_identical_to_itself(tmp_path):
    comparison = compare(DEFAULT, DEFAULT)
    rows = comparison.rows
    assert set(rows["verdict"]) == {"identical", "not judged"}
    assert set(rows.loc[rows["verdict"] == "not judged", "metric"]) == {
        *("seconds", "seconds_attack_loss")
    }
    assert len(rows) == len(pd.read_csv(DEFAULT / "evaluation.csv")) / 7  # seeds
    assert comparison.settings.empty
    assert comparison.same > 100
    assert not comparison.differs


def test_archive_and_folder_are_the_same_tree(tree, archive):
    frames = [compare(DEFAULT, side).rows for side in (tree, archive)]
    pd.testing.assert_frame_equal(*frames)
    assert set(frames[0]["verdict"]) == {"identical", "not judged"}


def test_a_damaged_archive_is_not_compared(archive):
    damaged = bytearray(archive.read_bytes())
    place = next(start for name, start, _ in entries(archive) if name == "evaluation.csv")
    damaged[place + 100] ^= 1
    archive.write_bytes(damaged)
    refused("shared.zip: evaluation.csv is damaged", compare, DEFAULT, archive)


def test_a_known_shift_is_found_and_nothing_else(tmp_path):
    """One draw. Of 300 others, 299 had the shift, and 16 a false row besides, as Holm allows."""
    first, second = made_up(seeds=8, rng=3), made_up(seeds=6, rng=4, shift=0.05)
    comparison = compare(write_tree(tmp_path / "a", first), write_tree(tmp_path / "b", second))
    rows = comparison.rows
    found = rows[rows["verdict"] == "differs"]
    key = ["method", "forget_ratio", "metric", "subset"]
    assert found[key].to_numpy().tolist() == [["retrain", 0.1, "accuracy", "test"]]
    assert rows.index[0] == found.index[0]  # first
    assert comparison.differs
    tested = rows[rows["verdict"] != "not judged"]
    assert len(tested) == 24
    assert ((tested["p"] < 0.05) == tested["verdict"].isin(["differs", "may differ"])).all()
    assert ((tested["p_holm"] < 0.05) == (tested["verdict"] == "differs")).all()
    tests = {}
    for row in rows[rows["verdict"] != "not judged"].itertuples():
        sides = []
        for table in (first, second):
            metric = row.metric.removeprefix("log10_")
            cell = (row.method, row.forget_ratio, metric, row.subset)
            values = table.loc[(table[key] == cell).all(axis=1), "value"]
            sides.append(np.log10(values) if metric == "efficacy" else values)
        oracle = stats.ttest_ind(*sides[::-1], equal_var=False)
        interval = oracle.confidence_interval(0.95)
        assert (row.p, row.low, row.high) == pytest.approx((oracle.pvalue, *interval))
        assert row.difference == pytest.approx(sides[1].mean() - sides[0].mean())
        assert (row.n_a, row.n_b) == (8, 6)
        own = stats.ttest_1samp(sides[0], 0).confidence_interval(0.95)
        assert (row.low_a, row.high_a) == pytest.approx(tuple(own))
        tests[row.Index] = oracle.pvalue
    ordered = sorted(tests, key=tests.get)
    least = 0.0
    for rank, index in enumerate(ordered):  # Holm, step by step
        least = max(least, min(1, tests[index] * (len(tests) - rank)))
        assert rows.loc[index, "p_holm"] == pytest.approx(least)


def test_trees_of_one_kind_rarely_differ():
    """Holm keeps the chance of any false verdict below .05: 24 tests each, 60 pairs of trees."""
    wrong = sum(
        (
            compare_rows(made_up(4, rng=2 * n), made_up(5, rng=2 * n + 1))["verdict"] == "differs"
        ).any()
        for n in range(60)
    )
    assert wrong <= stats.binom.ppf(0.999, 60, 0.05)


def test_pairs_do_not_matter():
    """Which seed has which value changes nothing: seeds of two machines are no pairs."""
    first, second = made_up(rng=1), made_up(rng=2)
    reordered = second.assign(seed=7 - second["seed"])
    pd.testing.assert_frame_equal(compare_rows(first, second), compare_rows(first, reordered))


def test_common_seeds_that_are_equal_are_identical():
    rows = compare_rows(made_up(5), made_up(5).query("seed < 3"))
    judged = rows[rows["verdict"] != "not judged"]
    assert set(judged["verdict"]) == {"identical"}
    assert set(judged["remark"]) == {"3 common seeds; A has 5, B 3"}


def test_what_cannot_be_tested_says_why():
    one = compare_rows(made_up(5, rng=1), made_up(1, rng=2))
    assert {"untested"} == set(one["verdict"]) - {"not judged"}
    assert "one seed: no interval" in set(one["remark"])
    constant = compare_rows(made_up(3, scale=0), made_up(3, scale=0, shift=0.1))
    differing = constant[constant["difference"].abs() > 0.05]
    assert set(differing["verdict"]) == {"untested"}
    assert "no seed differs" in differing["remark"].iloc[0]
    infinite = made_up(3, rng=1)
    infinite.loc[infinite["metric"] == "efficacy", "value"] = 0.0  # its logarithm is −∞
    rows = compare_rows(
        infinite.assign(value=np.where(infinite["value"] == 0, -np.inf, infinite["value"])),
        made_up(3, rng=2),
    ).query("metric == 'efficacy'")
    assert set(rows["remark"]) == {"infinite, or not measured"}


def test_ends_of_intervals_are_no_family_members():
    tables = [made_up(rng=n).assign(metric="tpr_at_1pct_low") for n in (1, 2)]
    tables = [t.drop_duplicates(["method", "forget_ratio", "subset", "seed"]) for t in tables]
    rows = compare_rows(*tables)
    assert set(rows["verdict"]) == {"not judged"}
    assert rows["p_holm"].isna().all()


def test_what_is_only_in_one_tree():
    whole = made_up()
    rows = compare_rows(whole[whole["method"] == "fisher"], whole[whole["forget_ratio"] == 0.1])
    seen = rows.groupby("verdict")[["method", "forget_ratio"]].agg(set).to_dict("index")
    assert seen["only in A"] == {"method": {"fisher"}, "forget_ratio": {0.5}}
    assert seen["only in B"] == {"method": {"retrain"}, "forget_ratio": {0.1}}
    assert seen["identical"] == {"method": {"fisher"}, "forget_ratio": {0.1}}


def test_settings_are_compared_at_every_depth(tmp_path):
    first = {"seeds": [0, 1], "training": {"epochs": 5}, "attacks": {"mf": {"whitebox": {"lr": 1}}}}
    second = copy.deepcopy(first) | {"seeds": [0, 1, 2], "extra": True}
    second["attacks"]["mf"]["whitebox"]["lr"] = 2
    a = write_tree(tmp_path / "a", made_up(), first, libraries={"torch": "1"}, cpu="x")
    b = write_tree(tmp_path / "b", made_up(), second, libraries={"torch": "2"}, cpu="x")
    for folder, epochs in ((a, 5), (b, 9)):
        (folder / "hyperparameters.csv").write_text(
            "dataset,architecture,forget_ratio,method,parameter,value\n"
            f"fmnist,cnn,0.1,remi_whitebox,max_epochs,{epochs}\n"
            "fmnist,cnn,0.1,remi_whitebox,loss,gaussian_kl\n"
        )
    comparison = compare(a, b)
    assert comparison.settings.to_numpy().tolist() == [
        ["config.yaml", "attacks.mf.whitebox.lr", "1", "2"],
        ["config.yaml", "seeds", "0, 1", "0, 1, 2"],
        ["provenance.json", "libraries.torch", "1", "2"],
        ["hyperparameters.csv", "fmnist cnn 0.1 remi_whitebox max_epochs", "5", "9"],
        ["config.yaml", "extra", "–", "True"],
    ]
    assert comparison.same == 4  # training.epochs, git_commit, cpu, loss
    assert "attacks.mf.whitebox.lr" in comparison.text()


def test_the_page_shows_the_rows_and_the_settings(tmp_path):
    first = write_tree(tmp_path / "a", made_up(rng=1))
    second = write_tree(tmp_path / "b", made_up(rng=2, shift=0.1), cpu="<script>alert(1)</script>")
    comparison = compare(first, second)
    comparison.write(tmp_path / "out")
    html = (tmp_path / "out" / "comparison.html").read_text()
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert" in html
    shown = pages.shown(html[html.index('<table id="table"') :])
    saved = pd.read_csv(tmp_path / "out" / "comparison.csv", keep_default_na=False)
    assert len(shown) == len(saved) == 25
    top, number = shown.iloc[0], comparison.rows.iloc[0]
    assert (top["verdict"], top["metric"], top["forget ratio"]) == ("differs", "accuracy", "10%")
    assert top["B − A"] == (
        f"{number['difference']:.4g} ± {(number['high'] - number['low']) / 2:.2g}"
    ).replace("-", "−")
    assert (tmp_path / "out" / "settings.csv").read_text().startswith("file,key,a,b\n")


def test_nothing_that_a_tree_holds_controls_the_terminal(tmp_path):
    tree = write_tree(tmp_path / "a", made_up(), {"x": "\x1b[2J\x9b31m"}, cpu="\x07\n\r")
    other = write_tree(tmp_path / "b", made_up())
    text = compare(tree, other).text()
    assert all(sign.isprintable() or sign == "\n" for sign in text)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("evaluation.csv", "", "cannot read .*/b/evaluation.csv: "),
        ("evaluation.csv", "a,b\n1,2\n", "it has no column 'dataset'"),
        (
            "config.yaml",
            "a: &a [1]\nb: [*a, *a]\n",
            "config.yaml: not a whole YAML file .it has aliases",
        ),
        ("config.yaml", "a: [", "cannot read .*/b/config.yaml"),
        ("config.yaml", "[" * 50_000, "config.yaml: .*it has aliases or deep nesting"),
        ("config.yaml", "a" * 2_000_000, "config.yaml: .*it has more than 1,048,576 letters"),
        ("config.yaml", "just text", "config.yaml: it holds no settings"),
        ("config.yaml", "!!python/object/apply:os.system [false]", "cannot read .*/config.yaml"),
        ("provenance.json", "{", "cannot read .*/b/provenance.json"),
        ("provenance.json", None, "cannot read .*/b/provenance.json: no such file"),
    ],
)
def test_other_trees_are_refused_in_one_line(tmp_path, name, content, message):
    first, second = (write_tree(tmp_path / side, made_up()) for side in "ab")
    (second / name).unlink() if content is None else (second / name).write_text(content)
    refused(f"{message}.*is .*/b a finished results tree?", compare, first, second)


def test_the_same_row_twice_is_refused(tmp_path):
    first = write_tree(tmp_path / "a", made_up())
    second = write_tree(tmp_path / "b", pd.concat([made_up(), made_up().head(1)]))
    refused("it has fmnist cnn 0.1 retrain accuracy forget 0 twice", compare, first, second)


def test_trees_without_a_common_cell_are_refused(tmp_path):
    first = write_tree(tmp_path / "a", made_up())
    second = write_tree(tmp_path / "b", made_up().assign(dataset="stl10"))
    refused("no row in common: fmnist × cnn × 0.1, 0.5 against stl10 ×", compare, first, second)


@pytest.mark.parametrize("sizes", [(2, 2), (3, 20), (10, 4)])
def test_welch_is_scipys(sizes):
    rng = np.random.default_rng(3)
    a, b = rng.normal(0, 1, sizes[0]), rng.normal(1, 3, sizes[1])
    for confidence in (0.9, 0.95):
        oracle = stats.ttest_ind(a, b, equal_var=False)
        interval = oracle.confidence_interval(confidence)
        assert welch(a, b, confidence) == pytest.approx(
            (a.mean() - b.mean(), interval.low, interval.high, oracle.pvalue)
        )
    one_varies = stats.ttest_ind(a, np.ones(5), equal_var=False)
    assert welch(a, np.ones(5))[3] == pytest.approx(one_varies.pvalue)
    assert np.isnan(welch(a, b[:1])[1:]).all()
    assert np.isnan(welch(np.zeros(3), np.ones(3))[1:]).all()


# The commands


def test_exit_statuses_are_those_of_diff(tree, tmp_path, capsys):
    def status(*arguments):
        return main([str(argument) for argument in arguments])

    out = ("--output", tmp_path / "out")
    other = write_tree(tmp_path / "a", made_up(rng=1))
    assert status("compare", tree, DEFAULT, *out) == 0
    moved = write_tree(tmp_path / "b", made_up(rng=2, shift=1))
    assert status("compare", other, moved, *out) == 1
    assert "Differs: 1 of 24 tested rows" in capsys.readouterr().out
    assert status("compare", other, tmp_path / "absent", *out) == 2
    assert status("verify", tmp_path / "absent") == 2
    assert status("export", tmp_path / "absent", tmp_path / "x.zip") == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert len(shown.err.splitlines()) == 3
    assert status("export", tree, tmp_path / "x.zip") == 0
    assert status("verify", tmp_path / "x.zip") == 0
    assert "are as listed" in capsys.readouterr().out


def test_make_passes_its_arguments_on():
    def lines(*arguments):
        command = ["make", "--dry-run", "--always-make", *arguments]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout

    run = ".venv/bin/remibench"
    assert f"{run} export results results.zip\n" in lines("export")
    assert f"{run} export a/b a/b.zip --checkpoints\n" in lines(
        "export", "RESULTS=a/b/", "CHECKPOINTS=1"
    )
    assert f"{run} verify x.zip\n" in lines("verify", "ARCHIVE=x.zip")
    assert f"{run} compare x y --output z\n" in lines("compare", "A=x", "B=y", "OUT=z")


def refused(message, function, *arguments):
    """Assert that a call ends in one line that matches."""
    with pytest.raises(RemibenchError, match=message) as caught:
        function(*arguments)
    assert "\n" not in str(caught.value)
