"""Sources: the papers that claims name by author and year, with their numbers."""

import re

SOURCES = {
    "Ainslie 2023": "arXiv:2305.13245",
    "Ba 2016": "arXiv:1607.06450",
    "Beltagy 2020": "arXiv:2004.05150",
    "Bengio 2003": "doi:10.5555/944919.944966",
    "Clark 2019": "arXiv:1906.04341",
    "Dao 2022": "arXiv:2205.14135",
    "Dehghani 2023": "arXiv:2302.05442",
    "Feng 2024": "arXiv:2410.01201",
    "Haviv 2022": "arXiv:2203.16634",
    "Henry 2020": "arXiv:2010.04245",
    "Hoffmann 2022": "arXiv:2203.15556",
    "Hu 2024": "arXiv:2404.06395",
    "Hägele 2024": "arXiv:2405.18392",
    "Jiang 2023": "arXiv:2310.06825",
    "Kalamkar 2019": "arXiv:1905.12322",
    "Kaplan 2020": "arXiv:2001.08361",
    "Khandelwal 2018": "arXiv:1805.04623",
    "Liu 2025": "arXiv:2502.16982",
    "Michel 2019": "arXiv:1905.10650",
    "Narang 2021": "arXiv:2102.11972",
    "Olsson 2022": "arXiv:2209.11895",
    "Press & Wolf 2017": "arXiv:1608.05859",
    "Press 2022": "arXiv:2108.12409",
    "Shazeer 2019": "arXiv:1911.02150",
    "Shazeer 2020": "arXiv:2002.05202",
    "Su 2021": "arXiv:2104.09864",
    "Vaswani 2017": "arXiv:1706.03762",
    "Voita 2019": "arXiv:1905.09418",
    "Wortsman 2023": "arXiv:2309.14322",
    "Xiong 2020": "arXiv:2002.04745",
    "Zhang & Sennrich 2019": "arXiv:1910.07467",
}

_PLACES = {"arXiv": "https://arxiv.org/abs/", "doi": "https://doi.org/"}
_PAPER = re.compile(r"[A-Z][a-zà-ÿ]+(?: & [A-Z][a-zà-ÿ]+)? (?:19|20)\d\d\b")


def papers_in(text: str) -> list[str]:
    """The papers that a text names, such as "Xiong 2020", in order and each once."""
    return list(dict.fromkeys(_PAPER.findall(text)))


def address(paper: str) -> str:
    """The address of a paper whose number is known, at arXiv or by its DOI."""
    kind, _, number = SOURCES[paper].partition(":")
    return _PLACES[kind] + number


def links(text: str) -> list[tuple[str, str]]:
    """The papers that a text names and whose numbers are known, each with its address."""
    return [(paper, address(paper)) for paper in papers_in(text) if paper in SOURCES]
