"""Formulas as MathML, which browsers draw by themselves: no script has to be fetched."""

from __future__ import annotations

import re
from html import unescape

from latex2mathml.converter import convert

FOUND = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)


def written(page: str) -> str:
    """A page of HTML whose TeX is MathML.

    >>> written('<span class="arithmatex">\\\\(x\\\\)</span>')
    '<math xmlns="http://www.w3.org/1998/Math/MathML" display="inline"><mrow><mi>x</mi></mrow></math>'
    """
    return FOUND.sub(lambda tex: convert(unescape(tex[3]), display="inline" if tex[2] == "(" else "block"), page)
