"""Reasons for and against trusting the verdicts, in one list, computed from the tables."""

import pandas as pd
from IPython.display import HTML

from experiments.records.run_folder import Status
from report.html import EMPTY, render
from report.page.budgets import gaps_within_margin
from report.page.claims import wrong_decisions
from report.page.second_studies import ALIKE, OTHERWISE, compared_marks
from report.study.tables import Tables
from report.verdicts.outcomes import Verdict


def trust(tables: Tables, claims: pd.DataFrame, second: pd.DataFrame) -> HTML:
    """The list of reasons for and against trusting the verdicts.

    Args:
        tables: the tables of the study.
        claims: the table "claims".
        second: the table "second": verdicts of second studies.
    """
    if claims.empty:
        return EMPTY
    sealed = claims.drop_duplicates("claim")["sealed"]
    marks = list(compared_marks(claims, second).values())
    status = tables.runs["status"]
    return HTML(
        render(
            "trust",
            sealed=int(sealed.str.startswith("sealed before the first run").sum()),
            claims=len(sealed),
            wrong=wrong_decisions(claims),
            closed=int((claims["verdict"] == Verdict.NOT_TESTABLE).sum()),
            gaps=gaps_within_margin(tables),
            alike=marks.count(ALIKE),
            otherwise=marks.count(OTHERWISE),
            failed=int((status == Status.FAILED).sum()),
            diverged=int((status == Status.DIVERGED).sum()),
            runs=len(status),
        )
    )
