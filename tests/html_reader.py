"""Reads pages in tests."""

from html.parser import HTMLParser

ALONE = {"meta", "img", "line", "polyline", "path", "circle", "input", "wbr"}  # elements without an end


class Reader(HTMLParser):
    """Collects elements by name, and complains where one is not closed in its turn."""

    def __init__(self, text):
        super().__init__()
        self.open, self.found, self.words = [], {}, []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.found.setdefault(tag, []).append(dict(attrs))
        if tag not in ALONE:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in ALONE:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)
