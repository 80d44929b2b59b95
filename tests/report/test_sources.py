"""Sources: every paper that a claim names has a number."""

import re

from experiments.catalogue import load_ablations
from report.sources import SOURCES, links, papers_in

CLAIMS = [claim for ablation in load_ablations().values() for claim in ablation.claims]


def test_every_paper_that_a_claim_names_has_a_number_and_no_number_is_left_over():
    named = {
        paper for claim in CLAIMS for paper in papers_in(f"{claim.said_by}; {claim.published}")
    }
    assert named == set(SOURCES)


def test_numbers_are_of_arxiv_or_dois_and_no_two_papers_share_one():
    for number in SOURCES.values():
        assert re.fullmatch(r"arXiv:\d{4}\.\d{5}|doi:10\.\d{4,}/\S+", number)
    assert len(set(SOURCES.values())) == len(SOURCES)


def test_papers_are_found_by_author_and_year():
    text = "Zhang & Sennrich 2019, table 2; course notes; Ba 2016; WMT14, 2048 tokens; Ba 2016"
    assert papers_in(text) == ["Zhang & Sennrich 2019", "Ba 2016"]
    assert links("Ba 2016; Nobody 1999") == [("Ba 2016", "https://arxiv.org/abs/1607.06450")]
    assert links("course notes") == []
