from visemix.report.charts import Number, Points, chart, dots, scatter, smooth
from visemix.report.page import heading, inline, page, paragraph, picture, png, row, table, video

__all__ = [
    "Number",
    "Points",
    "chart",
    "dots",
    "heading",
    "inline",
    "page",
    "paragraph",
    "picture",
    "png",
    "row",
    "scatter",
    "smooth",
    "table",
    "video",
]
