"""The names that a program defines, and those that it uses without defining them."""

from __future__ import annotations

import ast
import builtins


def defined(text: str) -> set[str]:
    """Names that a program's own level defines, imported ones too; ``*`` where it imports all of something."""
    found: set[str] = set()
    for node in ast.walk(_tree(text)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            found |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            found.add(node.name)
    return found


def undefined(text: str) -> set[str]:
    """Names that a program uses and nothing in it defines, wherever it does: arguments count as defined."""
    tree = _tree(text)
    known = defined(text) | set(dir(builtins)) | {"__file__", "__name__", "_", "display", "get_ipython"}
    known |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    return set() if "*" in known else used - known


def alternatives(text: str) -> bool:
    """Whether a text only lists from which siblings the same names can be had, one for each reader's framework.

    ``from einops.layers.torch import Rearrange`` over ``from einops.layers.flax import Rearrange``: who typed both
    would lose the first.
    """
    body = ast.iter_child_nodes(_tree(text))
    places: dict[tuple[str, ...], set[str]] = {}
    for node in body:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue
        if not isinstance(node, ast.ImportFrom) or not node.module or "." not in node.module:
            return False
        parent = node.module.rpartition(".")[0]
        names = (parent, *sorted(alias.asname or alias.name for alias in node.names))
        places.setdefault(names, set()).add(node.module)
    return bool(places) and all(len(modules) > 1 for modules in places.values())


def _tree(text: str) -> ast.AST:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ast.Module(body=[], type_ignores=[])
