"""The names that a program defines, and those that it uses without defining them."""

from __future__ import annotations

import ast
import builtins
import re

from dlmatrix.guides.classify import without_comment

#: Python 2's print and except. Its guides are many, and their programs are to be known as programs.
_PRINTED = re.compile(r"(?P<before>[ \t]*|[^#\n]*:[ \t]+)print[ \t]+(?=[^\s=.:])(?P<what>.+)")
_CAUGHT = re.compile(r"(except[ \t]+[\w.]+),[ \t]*(\w+[ \t]*:)")


def modern(text: str) -> str:
    """A program of Python 2 as Python 3 reads it, as far as print and except are concerned."""
    lines = []
    for line in text.split("\n"):
        found = _PRINTED.fullmatch(without_comment(line).rstrip())
        lines.append(f"{found['before']}print({found['what']})" if found else _CAUGHT.sub(r"\1 as \2", line))
    return "\n".join(lines)


def parses(text: str) -> bool:
    """Whether a text is Python."""
    try:
        ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def is_python(text: str) -> bool:
    """Whether a text is a program, of Python 2 or 3."""
    return _tree(text) is not None


#: Values that are shown as the call that makes them; any other call behind a print is code that somebody took out.
_SHOWN_AS_CALLS = ("tensor", "array", "Size", "TensorShape", "Tensor")


def is_value(text: str) -> bool:
    """Whether a text is a value as Python shows it: ``[1, 2]``, ``True``, ``torch.Size([2, 3])``."""
    try:
        return shows_value(ast.parse(text, mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


def shows_value(shown: ast.expr) -> bool:
    """Whether an expression is a value as Python shows it."""
    if isinstance(shown, ast.Call) and ast.unparse(shown.func).rpartition(".")[2] in _SHOWN_AS_CALLS:
        shown = shown.args[0] if shown.args else ast.Constant("")
    try:
        ast.literal_eval(shown)
    except (ValueError, TypeError, RecursionError, MemoryError):
        return False
    return True


def defined(text: str) -> set[str]:
    """Names that a program's own level defines, imported ones too; ``*`` where it imports all of something."""
    found: set[str] = set()
    for node in ast.walk(tree_of(text)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            found |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            found.add(node.name)
    return found


#: What is there without being defined, in Python 2 and in a notebook too.
_BUILTINS = frozenset(dir(builtins)) | frozenset(
    "__file__ __name__ _ display get_ipython xrange raw_input unicode basestring long reduce unichr".split()  # noqa: SIM905
)


def undefined(text: str) -> set[str]:
    """Names that a program uses and nothing in it defines, wherever it does: arguments count as defined."""
    tree = tree_of(text)
    known = defined(text) | _BUILTINS
    known |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    return set() if "*" in known else used - known


def leaves_out(text: str) -> bool:
    """Whether a program has ``...`` in the place of a value: ``Sequential(..., Linear(4, 2))`` is an excerpt.

    As an index, an annotation or a body that does nothing it is Python's own.
    """
    tree = tree_of(text)
    own = {id(one) for node in ast.walk(tree) if isinstance(node, ast.Subscript) for one in ast.walk(node.slice)}
    places = [
        place
        for node in ast.walk(tree)
        if id(node) not in own
        for place in (
            node.args if isinstance(node, ast.Call)
            else node.elts if isinstance(node, ast.List | ast.Tuple)
            else [node.value] if isinstance(node, ast.Assign) else []
        )
    ]  # fmt: skip
    return any(isinstance(place, ast.Constant) and place.value is ... for place in places)


def alternatives(text: str) -> bool:
    """Whether a text only lists from which siblings the same names can be had, one for each reader's framework.

    ``from einops.layers.torch import Rearrange`` over ``from einops.layers.flax import Rearrange``: who typed both
    would lose the first.
    """
    body = ast.iter_child_nodes(tree_of(text))
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


def named_alone(text: str) -> bool:
    """Whether a statement of a text is a name or a value alone: a word of a sentence, rather than a program's."""
    return any(
        isinstance(one, ast.Expr) and isinstance(one.value, ast.Name | ast.Constant) for one in tree_of(text).body
    )


def drawn(text: str, varying: re.Pattern[str], names: set[str]) -> bool:
    """Whether a piece of a program shows what no two runs have in common: ``varying`` is what draws it.

    ``names`` are those that hold such a thing before it, and is told which do behind it.
    """
    shows = False
    for node in tree_of(text).body:
        held = {one.id for one in ast.walk(node) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Load)}
        changes = bool(held & names or varying.search(ast.unparse(node)))
        shows |= changes
        made = defined(ast.unparse(node)) | _changed(node)
        names.difference_update(() if changes or isinstance(node, _PARTS) else made)
        names.update(made if changes else ())
    return shows


#: Statements that leave a name as it was where they do not come by.
_PARTS = (ast.If, ast.For, ast.While, ast.With, ast.Try)


def _changed(node: ast.AST) -> set[str]:
    """Names whose content a statement changes: ``x[0] = …`` and ``x.add_(…)``."""
    found = set()
    for one in ast.walk(node):
        place: ast.AST | None = None
        if isinstance(one, ast.Subscript | ast.Attribute) and isinstance(one.ctx, ast.Store):
            place = one
        elif isinstance(one, ast.Expr) and isinstance(one.value, ast.Call):
            place = one.value.func if isinstance(one.value.func, ast.Attribute) else None
        while isinstance(place, ast.Subscript | ast.Attribute | ast.Call):
            place = place.func if isinstance(place, ast.Call) else place.value
        if isinstance(place, ast.Name):
            found.add(place.id)
    return found


def tree_of(text: str) -> ast.Module:
    """A program's statements; none where it is no Python."""
    return _tree(text) or ast.Module(body=[], type_ignores=[])


def _tree(text: str) -> ast.Module | None:
    for one in (text, modern(text)):
        try:
            return ast.parse(one)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            pass
    return None
