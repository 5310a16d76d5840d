"""Examples in docstrings as code, for Markdown would take `>>>` for three quotations inside each other."""

from __future__ import annotations

from typing import Any

from griffe import Extension, Object


def fenced(docstring: str) -> str:
    """A docstring whose paragraphs that begin with `>>>` stand between fences.

    >>> fenced("One more.\\n\\n>>> 1 + 1\\n2").splitlines()
    ['One more.', '', '```pycon', '>>> 1 + 1', '2', '```']
    """
    paragraphs = docstring.split("\n\n")
    shown = [f"```pycon\n{one.strip()}\n```" if one.lstrip().startswith(">>> ") else one for one in paragraphs]
    return "\n\n".join(shown)


class Fenced(Extension):
    """For the generator: the same in every docstring of the reference."""

    def on_instance(self, *, obj: Object, **_: Any) -> None:
        if obj.docstring:
            obj.docstring.value = fenced(obj.docstring.value)
