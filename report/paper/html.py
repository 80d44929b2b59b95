"""The paper as HTML: one file, with its figures in it."""

import base64

from report.figures.charts import saved
from report.html import render
from report.paper.document import Paper


def html(paper: Paper) -> str:
    """The page of a paper."""
    images = {
        picture.name: base64.b64encode(
            saved(picture.figure, "svg", metadata={"Date": None})
        ).decode()
        for picture in paper.pictures
    }
    return render("paper", paper=paper, images=images)
