"""Results in an S3 bucket, of a server on this machine, and the plan of a run on Kubernetes."""

import pytest
from support.smoke import copy_repository, snakemake

server = pytest.importorskip("moto.server", reason="moto[server] is not installed")
pytest.importorskip("snakemake_storage_plugin_s3", reason="plugin not installed")
MODEL = "results-smoke/models/fmnist_embedded/cnn/0/target.safetensors"


@pytest.fixture(scope="module")
def bucket():
    """An empty bucket, and the options that make it Snakemake's storage."""
    import boto3

    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    endpoint = "http://{}:{}".format(*running.get_host_and_port())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "name")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        made = boto3.resource("s3", endpoint_url=endpoint).create_bucket(Bucket="remibench")
        yield made, ["--storage-s3-endpoint-url", endpoint]
    running.stop()


def test_a_model_trained_from_and_to_a_bucket_equals_the_local_one(bucket, tmp_path):
    made, options = bucket
    folder = copy_repository(tmp_path)
    storage = ["--default-storage-provider", "s3", "--default-storage-prefix", "s3://remibench"]
    snakemake(folder, MODEL, "--cores", "1", *storage, *options)
    assert not (folder / MODEL).exists()
    keys = {item.key for item in made.objects.all()}
    cell = "fmnist_embedded/cnn/0/target"
    assert {
        "results-smoke/data/fmnist_embedded/images.npy",
        f"results-smoke/logs/train_model/{cell}.log",
        f"results-smoke/benchmarks/train_model/{cell}.tsv",
        MODEL,
    } <= keys
    again = snakemake(folder, MODEL, "--cores", "1", *storage, *options)
    assert "Nothing to be done" in again.stdout
    snakemake(folder, MODEL, "--cores", "1")
    assert made.Object(MODEL).get()["Body"].read() == (folder / MODEL).read_bytes()


def test_the_plan_for_kubernetes_sends_every_result_to_the_bucket(bucket, tmp_path):
    """A dry-run: no cluster is asked; of one table, since the bucket is asked for every file."""
    pytest.importorskip("snakemake_executor_plugin_kubernetes", reason="plugin not installed")
    _, options = bucket
    profile = ["--workflow-profile", "profiles/kubernetes"]
    prefix = ["--default-storage-prefix", "s3://remibench"]
    arguments = ["results-smoke/tables/table4_whitebox_mia.csv", "--dry-run", *profile, *prefix]
    plan = snakemake(copy_repository(tmp_path), *arguments, *options).stdout
    assert "output: s3://remibench/results-smoke/evaluation.csv (send to storage)" in plan
    assert "paper/numbers.csv" in plan
    assert "s3://remibench/paper/" not in plan, "the published numbers come with the workflow"
