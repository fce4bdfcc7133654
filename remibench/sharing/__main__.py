"""Share results: archives of trees, two of either side by side, and a tree's published page."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from remibench.errors import RemibenchError


def main(arguments: Sequence[str] | None = None) -> None:
    """Do one of the five.

    Exit status: 0; 1 if results differ; 2, with one line, if there is nothing to export, verify,
    compare or publish. (``diff`` has the same.)
    """
    parser = argparse.ArgumentParser(prog="python -m remibench.sharing", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("export", help="write the archive of a results tree")
    command.add_argument("results", type=Path)
    command.add_argument("archive", type=Path)
    command.add_argument("--checkpoints", action="store_true", help="models and attacks, too")
    command = commands.add_parser("verify", help="check an archive against its manifest")
    command.add_argument("archive", type=Path)
    command = commands.add_parser("compare", help="put two trees or archives side by side")
    command.add_argument("a", type=Path)
    command.add_argument("b", type=Path)
    command.add_argument("--output", type=Path, default=Path("comparison"))
    command = commands.add_parser("publish", help="copy what belongs into docs/, with a page")
    command.add_argument("results", type=Path)
    command.add_argument("folder", type=Path, help="docs/results/<name>")
    command = commands.add_parser("page", help="make a published folder's page anew from its CSVs")
    command.add_argument("folder", type=Path)
    options = parser.parse_args(arguments)
    try:
        if options.command == "export":
            from remibench.sharing.export import export

            print(export(options.results, options.archive, options.checkpoints))
        elif options.command == "verify":
            from remibench.sharing.archive import verify

            print(verify(options.archive))
        elif options.command == "publish":
            from remibench.sharing.publish import publish

            print(publish(options.results, options.folder))
        elif options.command == "page":
            from remibench.sharing.publish import write_page

            write_page(options.folder)
        else:
            from remibench.sharing.compare import compare

            comparison = compare(options.a, options.b)
            comparison.write(options.output)
            print(f"{comparison.text()}\nPage: {options.output / 'comparison.html'}")
            sys.exit(int(comparison.differs))
    except RemibenchError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
