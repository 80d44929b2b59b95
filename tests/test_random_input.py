"""Random bad input is handled or refused in one line, with no traceback and no stray file.

The environment variable FUZZ is the number of inputs per test; `make soak` sets it higher.
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
from experiments.cli.options import VARIABLES, WorkerOptions
from experiments.errors import UserError
from experiments.profiles import PROFILES
from experiments.recipe import Recipe
from experiments.running.local import Local
from experiments.running.runner import StudyOutcome
from experiments.spec import RunSpec
from model import ModelConfig

FUZZ = settings(
    max_examples=int(os.environ.get("FUZZ", "100")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
ODD_WORDS = """
    - -- -1 0 1 2 300 1e999 nan inf -inf 0x10 1_000 ٣ true no None [] {} $(id) %s%n 💥
    words.txt .. ../.. / ~ . /dev/null /proc/self/mem no/such words.parquet:text
    auto cpu smoke gpu cuda mps local ray wandb characters bpe fp32 bf16 heads ladder heads/heads-4
    <script>alert(1)</script>
"""
ODD = ("", " ", "a" * 5000, "'; rm -rf *", *ODD_WORDS.split())
WORDS = st.sampled_from(ODD) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12
)
COMMAND_WORDS = """
    run retry list report verify clean columns bench status new-ablation train sample evaluate
    --help
"""
COMMANDS = ("", *COMMAND_WORDS.split())


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
    monkeypatch.setattr("experiments.cli.session.run_study", lambda *_, **__: StudyOutcome())
    monkeypatch.setattr("experiments.cli.session.measure", lambda *_: None)
    monkeypatch.setattr("experiments.cli.report.PageBuilder.build", lambda *_, **__: 0)
    monkeypatch.setattr(WorkerOptions, "start_executor", lambda _: Local())  # no cluster
    monkeypatch.setattr("experiments.cli.single_run.train_run", no_run)
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
    options=st.dictionaries(st.sampled_from(sorted(VARIABLES)), WORDS, max_size=3),
    variables=st.dictionaries(st.sampled_from(sorted(VARIABLES)), WORDS, max_size=3),
)
def test_any_command_line_is_served_or_refused_in_one_line(
    harmless: Path, capsys: pytest.CaptureFixture[str], command, words, options, variables
):
    given_words = [f"--{name.lower().replace('_', '-')}={value}" for name, value in options.items()]
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(sys, "argv", ["experiments", command, *given_words, *words])
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        status = 0
        try:
            command_line.main()
        except SystemExit as stopped:
            status = stopped.code or 0  # None is success
    error = capsys.readouterr().err
    assert status in (0, 2)
    assert "Traceback" not in error
    if status == 2:
        assert error.startswith("error: ")
        assert error.count("\n") == 1
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


def names_a_changed_field(changes: dict, refusal: ValueError) -> bool:
    """Whether the message names one of the changed fields as a whole word.

    "warmup_steps" does not name the field "steps". "d_model / n_heads" names both fields.
    """
    message = str(refusal)
    if any(f"no field '{name}'" in message for name in changes):
        return True
    fields = [re.escape(name.rpartition(".")[2]) for name in changes]
    return any(re.search(rf"\b{field}(=| / )", message) for field in fields)


@FUZZ
@given(
    st.dictionaries(
        st.sampled_from([field.name for field in dataclasses.fields(ModelConfig)]), VALUES
    )
)
def test_a_model_config_is_valid_or_refused_by_field_name(changes: dict):
    try:
        config = dataclasses.replace(BASE.base_model(50), **changes)
    except ValueError as refusal:
        assert names_a_changed_field(changes, refusal)
    else:
        for field in dataclasses.fields(config):
            hint = typing.get_type_hints(ModelConfig)[field.name]
            if hint in (int, bool, float):
                assert type(getattr(config, field.name)) is hint


@FUZZ
@given(
    st.dictionaries(st.sampled_from([field.name for field in dataclasses.fields(Recipe)]), VALUES)
)
def test_a_recipe_is_valid_or_refused_by_field_name(changes: dict):
    try:
        recipe = dataclasses.replace(BASE.recipe, **changes)
    except ValueError as refusal:
        assert names_a_changed_field(changes, refusal)
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
def test_a_variant_is_valid_or_refused_by_field_name(changes: dict):
    try:
        Variant("odd", changes).applied_to(BASE.base_model(50), BASE.recipe)
    except ValueError as refusal:
        assert names_a_changed_field(changes, refusal)
