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


def _tree(text: str) -> ast.AST:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ast.Module(body=[], type_ignores=[])
