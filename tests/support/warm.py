"""Snakemake without the seconds of its imports: a process that has made them, forked at each start.

Run as a script, it reads the commands of :func:`support.smoke.snakemake` line by line and answers
with their exit statuses. It has imported nothing of this project: that comes from each command's
own folder.
"""

import json
import os
import sys
from importlib import import_module

import snakemake.cli

# What Snakemake imports once it is called, and what the Snakefile does of others' packages.
LATER = ("boto3", "docutils.parsers.rst.directives.images", "grimp", "jinja2", "pandas", "pydantic")
LATER += ("rich.console", "rich.progress", "smart_open")


def main():
    """Serve until the standard input ends."""
    for name in LATER:
        import_module(name)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            run(**json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def run(arguments, folder, environment, output):
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
    snakemake.cli.main()


if __name__ == "__main__":
    main()
