"""A table as Markdown, LaTeX, CSV, JSON or HTML."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

from visemix.ops.store import refuse_existing, write_text
from visemix.report.tables import FormattedTable, Table, Text, format_table, records, superscript, transposed
from visemix.types import VisemixError

LATEX = {
    "\\": r"\textbackslash{}",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "→": r"$\rightarrow$",
    "−": "$-$",
    "–": "--",
    "±": r"$\pm$",
    "×": r"$\times$",
    "²": r"$^2$",
    "σ": r"$\sigma$",
    "…": r"\ldots{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
} | {sign: f"\\{sign}" for sign in "&%$#_{}"}


def markdown(table: Table) -> str:
    """The table as Markdown: pipes, bold, footnotes below."""
    formatted = format_table(table)
    lines = _md_row(["", *formatted.heads]) + _md_row(["---", *["---:"] * len(formatted.heads)])
    for title, rows in formatted.groups:
        if title:
            lines += _md_row([f"*{_md(title)}*", *[""] * len(formatted.heads)])
        lines += "".join(_md_row([_md(name), *map(_md_text, texts)]) for name, texts in rows)
    title = f"**{_md(table.title)}**" if table.title else ""
    return "\n\n".join(filter(None, [title, lines.rstrip(), *_below(formatted, superscript, _md)])) + "\n"


def latex(table: Table) -> str:
    """For a paper: a `table` with booktabs, ready to be read in by \\input."""
    formatted = format_table(table)
    width = len(formatted.heads) + 1
    lines = [r"\begin{table}", r"\centering"]
    lines += [rf"\caption{{{_tex(table.title)}}}"] if table.title else []
    lines += [rf"\begin{{tabular}}{{l{'r' * len(formatted.heads)}}}", r"\toprule"]
    lines += [" & ".join(["", *map(_tex, formatted.heads)]) + r" \\"]
    for title, rows in formatted.groups:
        lines.append(r"\midrule")
        if title:
            lines.append(rf"\multicolumn{{{width}}}{{l}}{{\emph{{{_tex(title)}}}}} \\")
        lines += [" & ".join([_tex(name), *map(_tex_text, texts)]) + r" \\" for name, texts in rows]
    lines += [r"\bottomrule", r"\end{tabular}"]
    lines += [rf"\par\smallskip{{\footnotesize {note}}}" for note in _below(formatted, _tex_mark, _tex)]
    return "\n".join([*lines, r"\end{table}", ""])


def comma_separated(table: Table) -> str:
    """The table as CSV, one row a number, with its interval, unit, direction and the reason where it is missing."""
    text = io.StringIO()
    rows = list(records(table))
    columns = ["group", "method", "metric", "value", "low", "high", "unit", "better", "reason"]
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _no_formula(value) for key, value in row.items()} for row in rows)
    return text.getvalue()


def _no_formula(value: str | float | None) -> str | float | None:
    """A text behind a quote where a table program would take it for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def as_json(table: Table) -> str:
    """The table as JSON: the rows of `comma_separated`, and its notes."""
    content = {"title": table.title, "notes": list(table.notes), "rows": list(records(table))}
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def html(table: Table, *, metrics_down: bool = False) -> str:
    """The table as HTML for a page of `visemix.report.page`."""
    formatted = transposed(format_table(table)) if metrics_down else format_table(table)
    head = "".join(f'<th scope="col" class="number">{_html_head(name)}</th>' for name in formatted.heads)
    body = []
    for title, rows in formatted.groups:
        if title:
            body.append(
                f'<tr class="group"><th scope="colgroup" colspan="{len(formatted.heads) + 1}">{escape(title)}</th></tr>'
            )
        for name, texts in rows:
            cells = "".join(f'<td class="number">{_html_text(text)}</td>' for text in texts)
            body.append(f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>')
    below = [f'<p class="note">{note}</p>' for note in _below(formatted, _html_mark, escape)]
    caption = f"<caption>{escape(table.title)}</caption>" if table.title else ""
    return (
        f'<div class="scroll"><table class="scores{" tall" * metrics_down}">{caption}'
        f"<thead><tr><td></td>{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>{''.join(below)}"
    )


WRITERS: dict[str, Callable[[Table], str]] = {
    ".md": markdown,
    ".tex": latex,
    ".csv": comma_separated,
    ".json": as_json,
}


def check_files(paths: Sequence[Path], overwrite: bool) -> None:
    """Raises VisemixError for a format that nobody writes, and for files that exist: before any work is done."""
    for path in paths:
        if path.suffix.lower() not in WRITERS:
            raise VisemixError(f"{path}: tables are written as {', '.join(WRITERS)}; the ending says which")
        refuse_existing(path, overwrite)


def write_tables(paths: Sequence[Path], table: Table) -> None:
    """The table in the format that each path's ending names."""
    for path in paths:
        write_text(path, WRITERS[path.suffix.lower()](table))


def _below(
    formatted: FormattedTable, mark: Callable[[int], str], words: Callable[[str], str] = lambda text: text
) -> list[str]:
    notes = [f"{mark(number)} {words(reason)}" for number, reason in enumerate(formatted.footnotes, 1)]
    return [*notes, *(words(note) for note in formatted.notes)]


def _md(words: str) -> str:
    return words.replace("|", "\\|").replace("*", "\\*").replace("\n", " ")


def _md_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


def _md_text(text: Text) -> str:
    words = f"**{text.words}**" if text.best else text.words
    return " ".join(filter(None, (words + (superscript(text.mark) if text.mark else ""), text.interval)))


def _tex(words: str) -> str:
    return "".join(LATEX.get(sign, sign) for sign in words)


def _tex_mark(number: int) -> str:
    return rf"\textsuperscript{{{number}}}"


def _tex_text(text: Text) -> str:
    words = rf"\textbf{{{_tex(text.words)}}}" if text.best else _tex(text.words)
    interval = rf"{{\scriptsize {_tex(text.interval)}}}" if text.interval else ""
    return " ".join(filter(None, (words + (_tex_mark(text.mark) if text.mark else ""), interval)))


def _html_head(words: str) -> str:
    """The unit on a line of its own, arrows beside what they belong to; a name may break after an underscore."""
    name, bracket, rest = words.partition(" (")
    name, rest = (re.sub(" ?([×↑↓→]) ?", "\u00a0\\1\u00a0", text).strip() for text in (name, rest))
    return escape(name).replace("_", "_<wbr>") + (f"\n({escape(rest)}" if bracket else "")


def _html_mark(number: int) -> str:
    return f"<sup>{number}</sup>"


def _html_text(text: Text) -> str:
    words = f"<b>{escape(text.words)}</b>" if text.best else escape(text.words)
    interval = f" <small>{escape(text.interval)}</small>" if text.interval else ""
    return words + (_html_mark(text.mark) if text.mark else "") + interval
