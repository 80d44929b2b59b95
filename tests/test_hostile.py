"""Absurd input is refused in one line, or handled: never a traceback, never a file elsewhere.

`FUZZ` is how many inputs each test tries; `make soak` asks for more of them than the suite does.
"""

import collections
import dataclasses
import os
import re
import shutil
import sys
import typing
import urllib.error
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from experiments.ablation import Variant
from experiments.cli import main as command_line
from experiments.cli.options import _OPTIONS, VARIABLES
from experiments.errors import UserError
from experiments.profiles import PROFILES
from experiments.running.local import Local
from experiments.running.runner import StudyOutcome
from experiments.spec import Recipe, RunSpec
from model import ModelConfig

FUZZ = settings(
    max_examples=int(os.environ.get("FUZZ", "100")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
ODD = (
    *("", " ", "-", "--", "-1", "0", "1", "2", "1e999", "nan", "inf", "-inf", "0x10", "1_000", "٣"),
    *(
        "words.txt",
        "..",
        "../..",
        "/",
        "~",
        ".",
        "/dev/null",
        "/proc/self/mem",
        "no/such",
        "a" * 5000,
        "💥",
    ),
    *("<script>alert(1)</script>", "'; rm -rf *", "$(id)", "%s%n", "auto", "cpu", "smoke", "gpu"),
    *("ray", "wandb", "characters", "bpe", "300", "words.parquet:text", "heads/heads-4"),
    *("cuda", "mps", "local", "fp32", "bf16", "true", "no", "None", "[]", "{}", "heads", "ladder"),
)
WORDS = st.sampled_from(ODD) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12
)
COMMANDS = (
    *("run", "retry", "list", "report", "verify", "clean", "columns", "bench", "", "--help"),
    *("status", "new-ablation", "train", "sample", "evaluate"),
)


@pytest.fixture
def harmless(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text_file: Path) -> Path:
    """A folder with a text in it. Nothing is trained, fetched or timed."""

    def no_network(*_: object, **__: object) -> None:
        raise urllib.error.URLError("there is none")

    def no_works() -> None:
        raise UserError("corpus 'shakespeare' cannot be fetched")

    def no_run(*_: object) -> None:
        raise UserError("nothing is trained")

    monkeypatch.setattr("urllib.request.urlopen", no_network)
    monkeypatch.setattr("experiments.data.corpus.fetch_works", no_works)
    monkeypatch.setattr(command_line, "run_study", lambda *_, **__: StudyOutcome())
    monkeypatch.setattr(command_line, "measure_costs", lambda *_: None)
    monkeypatch.setattr(command_line.PageRefresher, "build", lambda *_, **__: 0)
    monkeypatch.setattr("experiments.cli.options.executor_named", lambda _: Local())  # no cluster
    monkeypatch.setattr("experiments.cli.single_run._trained", no_run)
    monkeypatch.setattr("experiments.catalogue.FOLDER", tmp_path / "results")
    paces = collections.defaultdict(lambda: 1e9)
    monkeypatch.setattr("experiments.running.estimates.timed_speeds", lambda *_: paces)
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    shutil.copy(text_file, tmp_path / "words.txt")
    return tmp_path


@FUZZ
@given(
    command=st.sampled_from(COMMANDS),
    words=st.lists(WORDS, max_size=2),
    options=st.dictionaries(st.sampled_from(sorted(_OPTIONS)), WORDS, max_size=3),
    variables=st.dictionaries(st.sampled_from(sorted(VARIABLES)), WORDS, max_size=3),
)
def test_any_command_line_is_served_or_refused_in_one_line(
    harmless: Path, capsys: pytest.CaptureFixture[str], command, words, options, variables
):
    given_words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(sys, "argv", ["experiments", command, *given_words, *words])
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        status = 0
        try:
            command_line.main()
        except SystemExit as left:
            status = left.code
    said = capsys.readouterr().err
    assert status in (0, 2)
    assert "Traceback" not in said
    if status == 2:
        assert said.startswith("error: ")
        assert said.count("\n") == 1
    assert {file.name for file in harmless.iterdir()} <= {"results", "data", "words.txt"}


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 70),
    st.integers(),
    st.floats(),
    st.sampled_from([*ODD, "decoder", "lstm", "rope", "alibi", "post", "none", "adam", "sort"]),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)
BASE = PROFILES["smoke"]


def names_one_of(changes: dict, refused: ValueError) -> bool:
    """Whether what is said names a field that was changed, whole: "steps" is in "warmup_steps"."""
    fields = [re.escape(name.rpartition(".")[2]) for name in changes]
    said = str(refused)
    no_field = any(f"no field '{name}'" in said for name in changes)
    # "d_model / n_heads", where it is their quotient that cannot work
    return no_field or any(re.search(rf"\b{field}(=| / )", said) for field in fields)


@FUZZ
@given(
    st.dictionaries(
        st.sampled_from([field.name for field in dataclasses.fields(ModelConfig)]), VALUES
    )
)
def test_a_network_works_or_is_refused_by_the_name_of_its_field(changes: dict):
    try:
        config = dataclasses.replace(BASE.base_model(50), **changes)
    except ValueError as refused:
        assert names_one_of(changes, refused)
    else:
        for field in dataclasses.fields(config):
            hint = typing.get_type_hints(ModelConfig)[field.name]
            if hint in (int, bool, float):
                assert type(getattr(config, field.name)) is hint


@FUZZ
@given(
    st.dictionaries(st.sampled_from([field.name for field in dataclasses.fields(Recipe)]), VALUES)
)
def test_a_recipe_works_or_is_refused_by_the_name_of_its_field(changes: dict):
    try:
        recipe = dataclasses.replace(BASE.recipe, **changes)
    except ValueError as refused:
        assert names_one_of(changes, refused)
    else:
        spec = RunSpec(model=BASE.base_model(50), recipe=recipe, corpus="", seed=0)
        assert len(spec.run_id) == 16


@FUZZ
@given(
    st.dictionaries(
        st.sampled_from(["model.d_model", "model.position", "recipe.task", "recipe.steps"])
        | st.text(max_size=12),
        VALUES,
        max_size=3,
    )
)
def test_a_variant_works_or_is_refused(changes: dict):
    try:
        Variant("odd", changes).applied_to(BASE.base_model(50), BASE.recipe)
    except ValueError as refused:
        assert names_one_of(changes, refused)
