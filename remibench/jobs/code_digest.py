"""Which code a job depends on, as a digest: editing a module re-runs what it can change."""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path

import grimp

from remibench.artifacts import paths
from remibench.artifacts.shipped import ROOT
from remibench.components import display
from remibench.components.plugins import plugin_files
from remibench.components.registry import UNDIGESTED, kind_of

PACKAGE = "remibench"
TEMPLATES = (".j2", ".mplstyle")  # files beside modules that these read


def code_digest(script: Path, *dynamic: str) -> str:
    """Digest the library modules that a rule depends on, so that editing one re-runs the rule.

    Snakemake notices a change of the script file but not of what it imports. The digest covers the
    modules of this package that the script imports, those that they import in turn, and the
    ``__init__`` modules on the way, with the templates beside these. The modules of active plug-ins
    are such modules, too.

    Not covered are docstrings, and those declarations of a component that are in
    :data:`remibench.components.registry.UNDIGESTED`, unless its own code uses them; nor the layout
    of the results tree: a job whose files move runs anyway. A script that shows methods by
    :mod:`remibench.components.display` depends on what all of them declare for it.

    Args:
        script: The rule's script.
        dynamic: Modules found by name at run time, in full or without the package's name
            (``models.cnn``).
    """
    roots = _imports(script) | {f"{PACKAGE}.{name.removeprefix(f'{PACKAGE}.')}" for name in dynamic}
    digest, modules = hashlib.sha256(), _closure(frozenset(roots))
    for module in sorted(modules - {paths.__name__}):
        source = _source(module)
        digest.update(f"{module}\0{_computation(source, module)}\n".encode())
        if source.name == "__init__.py":
            for file in sorted(source.parent.iterdir()):
                if file.suffix in TEMPLATES:
                    digest.update(file.read_bytes())
    if display.__name__ in modules:
        names = [dict(labels) for labels in display.NAMES.values()]
        digest.update(repr((display.displays(), names)).encode())
    return digest.hexdigest()[:16]


def _imports(file: Path, module: str = "") -> set[str]:
    """Modules of this package that a script imports, by ``import x`` or ``from x import y``.

    Relative imports, which scripts cannot have, start at the full name of a plug-in's ``module``.
    """
    imported, package = set(), module.split(".")[:-1]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            imported |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
    return imported & (_modules() | plugin_files().keys())


@cache
def _closure(roots: frozenset[str]) -> frozenset[str]:
    graph, plugins = _graph(), plugin_files()
    modules: set[str] = set()
    pending = set(roots)
    while pending:
        module = pending.pop()
        modules.add(module)
        parent = module.rpartition(".")[0]
        imported = (
            _imports(plugins[module], module)
            if module in plugins
            else graph.find_modules_directly_imported_by(module)
        )
        needed = imported | ({parent} if parent else set())
        pending |= needed - modules
    return frozenset(modules)


@cache
def _graph() -> grimp.ImportGraph:
    return grimp.build_graph(PACKAGE, cache_dir=None)


@cache
def _modules() -> frozenset[str]:
    return frozenset(_graph().modules)


def _source(module: str) -> Path:
    if module in plugin_files():
        return plugin_files()[module]
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def _computation(path: Path, module: str) -> str:
    """The source of a module without docstrings, ``UNDIGESTED`` declarations and blank lines.

    Left out are declarations of components that nothing else in the ``module`` reads.

    Whole lines are left out, so that the text does not depend on Python's version.
    """
    text = path.read_text(encoding="utf-8")
    tree, lines = ast.parse(text), text.splitlines()
    dropped, within_strings = [], set()
    read = {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
    undigested = set(UNDIGESTED.get(kind_of(module), ())) - read
    for node in ast.walk(tree):
        match node:
            case ast.Assign([ast.Name(name)]) | ast.FunctionDef(name=name) if (
                node in tree.body and name in undigested
            ):
                dropped.append(node)
            case (
                ast.Module([ast.Expr(ast.Constant(str())) as docstring, *_])
                | ast.ClassDef(body=[ast.Expr(ast.Constant(str())) as docstring, *_])
                | ast.FunctionDef(body=[ast.Expr(ast.Constant(str())) as docstring, *_])
            ):
                dropped.append(docstring)
            case ast.Constant(str()) | ast.JoinedStr():
                within_strings.update(range(node.lineno, node.end_lineno + 1))
    left_out = {n for n, line in enumerate(lines, 1) if not line.strip()} - within_strings
    for node in dropped:
        before = lines[node.lineno - 1].encode()[: node.col_offset]
        after = lines[node.end_lineno - 1].encode()[node.end_col_offset :].strip()
        if not before.strip() and after[:1] in (b"", b"#"):  # nothing else on its lines
            left_out.update(range(node.lineno, node.end_lineno + 1))
    return "\n".join(line for n, line in enumerate(lines, 1) if n not in left_out)
