"""Tables in Markdown, and code in their cells."""

from __future__ import annotations

from html import escape


def literal(text: str) -> str:
    """Code in a cell of a table, in which a bar would end the cell."""
    return f"<code>{escape(text, quote=False).replace('|', '&#124;')}</code>"


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(' '.join(cell.split()) for cell in line)} |" for line in lines)
