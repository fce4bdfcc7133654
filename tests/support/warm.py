"""Snakemake and its scripts without the seconds of their imports: forked from who has made them.

Run as a script, it reads the commands of :func:`support.smoke.snakemake` line by line and answers
with their exit statuses. The scripts of a command's jobs are forked from another such process:
Snakemake starts them by a stand-in for Python, which hands them over and waits for their end.

Neither process has imported anything of this project: that comes from each command's own folder.
What a job finds otherwise than in a Python of its own: torch is imported, and the order of sets of
text is that of all other jobs. The tests' first run of the smoke grid has Pythons of its own, and
others' results are compared with it.
"""

import json
import os
import runpy
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path

# What Snakemake imports once it is called, and what the Snakefile does of others' packages.
OF_SNAKEMAKE = ("snakemake.cli", "boto3", "docutils.parsers.rst.directives.images", "grimp")
OF_SNAKEMAKE += ("jinja2", "pandas", "pydantic", "rich.console", "rich.progress", "smart_open")
OF_JOBS = ("snakemake.script", "torch", "pandas", "scipy.stats", "safetensors.torch", "psutil")
OF_JOBS += ("matplotlib.pyplot", "jinja2", "yaml", "PIL.Image")
THREADS = "OMP_NUM_THREADS"  # of which torch takes note when it is imported

STAND_IN = """\
#!{python} -IS
import json, os, socket, sys
if len(sys.argv) != 2 or os.environ.get("{threads}") != "1":
    os.execv("{python}", ["{python}", *sys.argv[1:]])
job = {{"script": sys.argv[1], "folder": os.getcwd(), "environment": dict(os.environ)}}
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect("{address}")
    message = json.dumps(job).encode()
    socket.send_fds(connection, [len(message).to_bytes(4, "big")], [0, 1, 2])
    connection.sendall(message)
    status = connection.recv(8)
os._exit(int(status or b"1"))
"""


def main():
    """Serve Snakemakes until the standard input ends."""
    folder = Path(tempfile.mkdtemp())
    stand_in, jobs = start_jobs(folder)
    for name in OF_SNAKEMAKE:
        import_module(name)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            run(**json.loads(line), stand_in=stand_in)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    jobs.communicate()
    shutil.rmtree(folder)


def run(arguments, folder, environment, output, warm_jobs, stand_in):
    """Become a Snakemake in a folder, in a session of its own, and end with it."""
    os.setsid()
    for number, path, mode in ((0, os.devnull, os.O_RDONLY), (1, output, os.O_WRONLY)):
        os.dup2(os.open(path, mode), number)
    os.dup2(1, 2)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.path.insert(0, folder)
    sys.argv = ["snakemake", *arguments]
    if warm_jobs:
        import_module("snakemake.script").sys = StandIn(stand_in)
    import_module("snakemake.cli").main()


class StandIn:
    """The module ``sys`` with another path of Python."""

    def __init__(self, executable):
        self.executable = executable

    def __getattr__(self, name):
        return getattr(sys, name)


def start_jobs(folder):
    """Start the process that forks jobs; the path of the stand-in for Python, and the process."""
    address, stand_in = folder / "jobs", folder / "python"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(address))
    listener.listen()
    stand_in.write_text(STAND_IN.format(python=sys.executable, threads=THREADS, address=address))
    stand_in.chmod(0o700)
    process = subprocess.Popen(
        [sys.executable, "-P", __file__, str(listener.fileno())],
        env=os.environ | {THREADS: "1"},
        pass_fds=[listener.fileno()],
        stdin=subprocess.PIPE,
    )
    return shlex.quote(str(stand_in)), process


def serve_jobs(listener):
    """Fork a job for every connection until the standard input ends, with whoever holds it."""
    for name in OF_JOBS:
        import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that wait for jobs
    while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
        connection, _ = listener.accept()
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            wait_for_job(connection)
        connection.close()


def wait_for_job(connection):
    """Fork a job, answer with its status, and end; end the job if nobody waits for the answer."""
    length, streams, _, _ = socket.recv_fds(connection, 4, 3)
    message = connection.makefile("rb").read(int.from_bytes(length, "big"))
    job = os.fork()
    if job == 0:
        connection.close()
        run_job(streams, **json.loads(message))
    ended = os.pidfd_open(job)
    if connection in select.select([connection, ended], [], [])[0]:
        os.kill(job, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(job, 0)[1])
    connection.sendall(str(status if status >= 0 else 128 - status).encode())
    os._exit(0)


def run_job(streams, script, folder, environment):
    """Become the Python that runs a script."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(write_through=True)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    places = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:0] = [str(Path(script).parent), *places]
    sys.argv = [script]
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        status = end.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = 1
    else:
        status = 0
    os._exit(status if isinstance(status, int) else int(status is not None))


if __name__ == "__main__":
    if sys.argv[1:]:
        serve_jobs(socket.socket(fileno=int(sys.argv[1])))
    else:
        main()
