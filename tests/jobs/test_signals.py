"""Signals to Snakemake and to its jobs, in processes of their own."""

import os
import signal
import subprocess
import sys
import time

import pytest
from support.smoke import ROOT

SCHEDULER = """
import os, signal, sys, threading, time
from remibench.jobs.signals import end_jobs_on_signals

lock, told = threading.Lock(), threading.Event()

def graceful(*_):  # as Snakemake's: it takes a lock that the interrupted code may hold
    with lock:
        told.set()

signal.signal(signal.SIGTERM, graceful)
end_jobs_on_signals()
"""
JOB = """
import signal, sys, time
from remibench.errors import TerminatedError
from remibench.jobs.signals import end_job_on_signals

told = []
{install}
try:
    print("ready", flush=True)
    for _ in range(400):
        time.sleep(0.02)
        if "end" in told and not {patient}:
            raise TerminatedError("after the epoch")
except TerminatedError as error:
    print(error, told.count("end"), flush=True)
"""


def run(code):
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def test_snakemakes_handler_does_not_wait_for_the_code_that_it_interrupts():
    """Called as it is, in the handler of the signal, it waits for ever: the test of the test."""
    body = "with lock:\n    os.kill(os.getpid(), signal.SIGTERM)\n    time.sleep(0.2)\n"
    body += "print(told.wait(5))"
    output, _ = run(SCHEDULER + body).communicate(timeout=60)
    assert output == "True\n"
    hangs = run(SCHEDULER.replace("\nend_jobs_on_signals()", "") + body)
    with pytest.raises(subprocess.TimeoutExpired):
        hangs.communicate(timeout=5)
    hangs.kill()


def test_a_second_interrupt_leaves_the_clean_up_alone():
    body = (
        "try:\n    os.kill(os.getpid(), signal.SIGINT)\n    time.sleep(5)\n"
        "except KeyboardInterrupt:\n    os.kill(os.getpid(), signal.SIGINT)\n"
        "    time.sleep(0.2)\n    print('cleaned up')"
    )
    output, _ = run(SCHEDULER + body).communicate(timeout=60)
    assert output == "Snakemake waits for its jobs to end; kill -9 ends it at once\ncleaned up\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_snakemake_alone_reaches_its_jobs_and_nobody_else(tmp_path, number):
    script = tmp_path / ".snakemake" / "scripts" / "x.train_model.py"
    script.parent.mkdir(parents=True)
    script.write_text("import time\ntime.sleep(60)\n")
    body = (
        "import subprocess\n"
        f"job = subprocess.Popen(['bash', '-c', 'set -e; {sys.executable} {script}'])\n"
        "other = subprocess.Popen(['sleep', '60'])\ntime.sleep(0.5)\n"
        f"try:\n    os.kill(os.getpid(), {int(number)})\n    job.wait(20)\n"
        "except KeyboardInterrupt:\n    job.wait(20)\n"
        "print(job.returncode, other.poll())\nother.kill()"
    )
    output, _ = run(SCHEDULER + body).communicate(timeout=60)
    assert output == f"{-signal.SIGTERM} None\n"


@pytest.mark.parametrize(
    ("signals", "patient", "said"),
    [
        ([signal.SIGTERM], False, "after the epoch 1"),
        ([signal.SIGINT], False, "after the epoch 1"),
        ([signal.SIGINT, signal.SIGTERM], False, "after the epoch 1"),  # Ctrl-C, and Snakemake's
        ([signal.SIGTERM, signal.SIGTERM, signal.SIGINT], True, ""),
        ([signal.SIGINT, signal.SIGINT], True, "stopped by a signal; run the same command again 1"),
        ([signal.SIGINT, signal.SIGTERM, signal.SIGINT], True, "stopped by a signal; run the same"),
    ],
)
def test_a_job_ends_after_its_epoch_and_at_once_after_another_interrupt(signals, patient, said):
    install = "end_job_on_signals(lambda: told.append('end'))"
    process = run(JOB.format(install=install, patient=patient))
    assert process.stdout.readline() == "ready\n"
    for number in signals:
        process.send_signal(number)
        time.sleep(0.05)
    output, _ = process.communicate(timeout=60)
    assert output.startswith(said)
    assert bool(output) == bool(said), "it went on"
    assert "Traceback" not in output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_job_without_epochs_ends_at_once(number):
    process = run(JOB.format(install="end_job_on_signals()", patient=True))
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert output == "stopped by a signal; run the same command again 0\n"
