"""The command ``remibench``: plan a run, share and compare results, audit models, make pages.

A sub-command imports the modules that it needs, and no other, once it is called.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from remibench.errors import RemibenchError, printable
from remibench.jobs.surroundings import isolate

EXIT_STATUSES = (
    "The exit status is 0; 1 if `compare` sees results that differ or `check` sees what does not "
    "belong; 2, with one line, if a command cannot be carried out."
)


def _say(what: object) -> None:
    """Print what files or their names may hold: the terminal obeys none of it."""
    print(printable(str(what)))


def _plan(options: argparse.Namespace) -> None:
    from remibench.planning.plan import plan

    text, warnings = plan(options.config, options.measured)
    for warning in warnings:
        print(f"warning: {printable(warning)}", file=sys.stderr)
    _say(text)


def _export(options: argparse.Namespace) -> None:
    from remibench.sharing.export import export

    _say(export(options.results, options.archive, options.checkpoints))


def _verify(options: argparse.Namespace) -> None:
    from remibench.sharing.archive import verify

    _say(verify(options.archive))


def _check(options: argparse.Namespace) -> int:
    from remibench.sharing.check import check

    lines = check(options.results)
    _say("\n".join(lines) or f"{options.results}: everything belongs where it is")
    return int(bool(lines))


def _compare(options: argparse.Namespace) -> int:
    from remibench.sharing.compare import compare

    comparison = compare(options.a, options.b)
    comparison.write(options.output)
    _say(f"{comparison.text()}\nPage: {options.output / 'comparison.html'}")
    return int(comparison.differs)


def _publish(options: argparse.Namespace) -> None:
    from remibench.sharing.publish import publish

    _say(publish(options.results, options.folder, options.plugins))


def _page(options: argparse.Namespace) -> None:
    from remibench.sharing.publish import write_page

    write_page(options.folder, options.plugins)


def _stopping(options: argparse.Namespace) -> None:
    from remibench.reporting.beyond.stopping import write

    write(options.ruled, options.unruled, options.output, options.plugins)


def _audit(options: argparse.Namespace) -> None:
    from remibench.config.audit import run_audit

    audit, page = run_audit(options.config)
    _say(f"{audit}\n\nPage: {page}")


def _schema(options: argparse.Namespace) -> None:
    import json

    from remibench.components.plugins import activate
    from remibench.config.model import json_schema

    activate(options.plugins)
    print(json.dumps(json_schema(), indent=2, ensure_ascii=False))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="remibench",
        description="Plan runs of the workflow, share, compare and publish their results, and "
        "audit models of your own. The workflow itself is run by snakemake.",
        epilog=EXIT_STATUSES,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, function, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text, epilog=EXIT_STATUSES)
        command.set_defaults(function=function)
        return command

    command = add("plan", _plan, "Say what a config takes before it runs: jobs, hours, disk space.")
    command.add_argument(
        "config", nargs="*", help="Config files that are laid over config.yaml, in this order."
    )
    command.add_argument(
        "--measured",
        nargs="+",
        type=Path,
        metavar="RESULTS",
        help="Results trees that times are taken from, instead of results* in this folder.",
    )
    command = add("export", _export, "Write the archive of a results tree, with its checksums.")
    command.add_argument("results", type=Path, help="The results tree.")
    command.add_argument("archive", type=Path, help="The ZIP file that is written.")
    command.add_argument(
        "--checkpoints", action="store_true", help="Put models and attacks into the archive, too."
    )
    command = add("verify", _verify, "Check the files of an archive against its checksums.")
    command.add_argument("archive", type=Path, help="The ZIP file that `export` wrote.")
    command = add("check", _check, "Say what does not belong in a results tree.")
    command.add_argument("results", type=Path, help="The results tree.")
    command = add("compare", _compare, "Put two results trees or archives side by side.")
    command.add_argument("a", type=Path, help="The first results tree or archive.")
    command.add_argument("b", type=Path, help="The second results tree or archive.")
    command.add_argument(
        "--output",
        type=Path,
        default=Path("comparison"),
        help="The folder that page and tables are written to (default: comparison).",
    )
    command = add("publish", _publish, "Copy what belongs into the documentation, with a page.")
    command.add_argument("results", type=Path, help="The results tree.")
    command.add_argument("folder", type=Path, help="The published folder, docs/results/NAME.")
    command = add("page", _page, "Make the page of a published folder anew, from the files in it.")
    command.add_argument("folder", type=Path, help="The published folder, docs/results/NAME.")
    command = add("stopping", _stopping, "Compare ReMI with and without its stopping rule.")
    command.add_argument("ruled", type=Path, help="The tree of runs that the rule ended.")
    command.add_argument("unruled", type=Path, help="The tree of the same runs without the rule.")
    command.add_argument("output", type=Path, help="The folder of the table and the figure.")
    command = add("audit", _audit, "Audit unlearned models of your own: one page and CSV files.")
    command.add_argument(
        "--config", type=Path, required=True, help="The YAML file of models, images and forget set."
    )
    command = add("schema", _schema, "Print the JSON schema of the config, for editors.")
    command.add_argument("plugins", nargs="*", help="Plug-in folders whose keys it has, too.")
    for name in ("publish", "page", "stopping"):
        commands.choices[name].add_argument(
            "--plugins",
            action="append",
            default=[],
            metavar="FOLDER",
            help="A plug-in folder that the tree names and that you trust: its code may run.",
        )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one sub-command.

    Returns:
        The exit status, which is that of ``diff``: 0; 1 if the compared results differ, or
        something does not belong; 2, with one line on stderr, if the command cannot be carried out.
    """
    options = _parser().parse_args(arguments)
    isolate()
    try:
        return options.function(options) or 0
    except RemibenchError as error:
        print(error, file=sys.stderr)
        return 2
