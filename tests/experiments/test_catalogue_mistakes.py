"""Mistakes in an ablation file are refused in one line that says where and what is allowed."""

import re
import sys
from pathlib import Path

import pytest

from experiments import catalogue
from experiments.ablation import Ablation, Claim, Variant
from experiments.catalogue import load_ablations
from experiments.cli import main as command_line
from experiments.errors import UserError
from experiments.planning.plan import preliminary_plan
from experiments.profiles import PROFILES

RIGHT = '''"""A question."""

from experiments.ablation import Ablation, Beats, Claim, Variant, vary

ABLATION = Ablation(
    title="A title",
    question="A question?",
    baseline="small",
    variants=[
        Variant("small", {"model.n_layers": 1}),
        Variant("rms", {"model.norm": "rmsnorm"}, tuned_for="small"),
    ],
    claims=[
        Claim(
            id="mine",
            sentence="It is so.",
            said_by="somebody",
            effect={"small": 1, "rms": -1},
            margin=0.1,
            why_margin="a test",
            requires=[Beats("small", "bigram")],
        ),
    ],
    budgets=[1, 4],
    probes=["positions"],
)
'''


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of an ablation's file that is alone in its folder."""
    package = __import__("experiments.ablations").ablations
    monkeypatch.setattr(package, "__path__", [str(tmp_path)])
    monkeypatch.setattr(catalogue, "FOLDER", tmp_path)
    return tmp_path / f"mine_{tmp_path.name}.py"  # a name that no other test has imported


def refusal(file: Path, text: str) -> tuple[str, str]:
    """The line number (or "") and the message of the refusal of a file with this text."""
    file.write_text(text)
    with pytest.raises(UserError) as refused:
        preliminary_plan(PROFILES["smoke"], 1)
    message = str(refused.value)
    assert "\n" not in message
    match = re.fullmatch(rf"experiments/ablations/{file.name}:(\d*):? (.*)", message)
    assert match
    return match[1], match[2]


def test_a_file_without_mistakes_is_loaded_and_planned(file: Path):
    file.write_text(RIGHT)
    assert [*load_ablations()] == [file.stem.replace("_", "-")]
    assert len(preliminary_plan(PROFILES["smoke"], 1)) > 2


# What is replaced in RIGHT, its replacement, the line if Python gives one, and the message.
MISTAKES = [
    (
        '"model.n_layers"',
        '"model.n_layer"',
        "10",
        "variant 'small': no field 'model.n_layer', did you mean 'model.n_layers'?",
    ),
    (
        'tuned_for="small"',
        'match_parameters="d_f"',
        "11",
        "variant 'rms': no field 'd_f', did you mean 'd_ff'?",
    ),
    (
        '"rmsnorm"}',
        '"rmsnrm"}',
        "",
        "variant 'rms': norm='rmsnrm' cannot work: .*, did you mean 'rmsnorm'?",
    ),
    (
        '"model.n_layers": 1',
        '"model.n_layers": 0',
        "",
        "variant 'small': n_layers=0 cannot work: it must be a whole",
    ),
    (
        'tuned_for="small"',
        'tuned_for="smal"',
        "5",
        "tuned_for of variant 'rms': no variant 'smal', did you mean 'small'?",
    ),
    (
        'baseline="small"',
        'baseline="smoll"',
        "5",
        "baseline: no variant 'smoll', did you mean 'small'?",
    ),
    ('"rms": -1', '"rmm": -1', "5", "claim 'mine': no variant 'rmm', did you mean 'rms'?"),
    (
        "margin=0.1",
        'margin=0.1, metric="val_los"',
        "5",
        "claim 'mine': no metric 'val_los', did you mean 'val_loss'?",
    ),
    (
        "margin=0.1",
        'margin=0.1, metric="measured_seconds"',
        "5",
        "claim 'mine': no cost 'small': there are attention reference, ",
    ),
    (
        'effect={"small": 1, "rms": -1}',
        'check="head-costs"',
        "5",
        "claim 'mine': no check 'head-costs', did you mean 'head-cost'?",
    ),
    ('["positions"]', '["position"]', "5", "probes: no probe 'position', did you mean 'positions'"),
    (
        '            why_margin="a test",\n',
        "",
        "14",
        "claim 'mine' needs a check, or an effect with margin and why_margin",
    ),
    (
        "margin=0.1",
        'margin=0.1, check="head-cost"',
        "14",
        "claim 'mine' needs a check, or an effect with margin and why_margin",
    ),
    (
        "margin=0.1",
        "margin=0.1, equal=True, no_worse=True",
        "14",
        "claim 'mine' has equal and no_worse: choose one of them",
    ),
    ("sentence=", "sentense=", "14", "unexpected keyword argument 'sentense'"),
    ("Claim, Variant, vary", "Claim, Varient, vary", "3", "cannot import name 'Varient' from"),
    (
        "variants=[\n",
        "variants=[\n        *vary('n_headz', [1, 2]),\n",
        "10",
        "no field 'n_headz', did you mean 'n_heads'?",
    ),
    ('"A title"', '"A title', "6", "unterminated string literal"),
    ("ABLATION = ", "ABLATIONS = ", "", "it has no ABLATION"),
    ("ABLATION = Ablation(", "ABLATION = dict(", "", "ABLATION is not an Ablation"),
    ('Variant("rms"', 'Variant("small"', "5", "variants: 'small' appears 2 times"),
    (
        "variants=[\n",
        "variants=[\n        vary('n_heads', [1, 2]),\n",
        "5",
        "variants: a list in place of a Variant: put a star before it",
    ),
    ("claims=[\n", "claims=[\n        7,\n", "5", "claims: 7 is not a Claim"),
    (
        '"small", {"model.n_layers": 1}',
        '"small", "model.n_layers"',
        "10",
        "variant 'small': changes must be {'model.field': value}, not 'model.n_layers'",
    ),
    ('{"small": 1,', '{"small": "1",', "14", "claim 'mine': small must be a number, not '1'"),
    ("margin=0.1", "margin=None", "14", "claim 'mine': margin must be a number, not None"),
    ("margin=0.1", "margin=0", "14", "claim 'mine': margin=0 cannot work: it must be above 0"),
    ("margin=0.1", "margin=-0.1", "14", "claim 'mine': margin=-0.1 cannot work"),
    ("margin=0.1", 'margin=float("nan")', "14", "claim 'mine': margin=nan cannot work"),
    ("margin=0.1", "margin=0.1, seed_margin=0", "14", "claim 'mine': seed_margin=0 must be above"),
    ("margin=0.1", "margin=2, seed_margin=0.1", "14", "claim 'mine' is counted in seeds: its mar"),
    (
        "margin=0.1",
        'margin=0.1, seed_margin=0.1, metric="trains"',
        "14",
        "claim 'mine': seed_margin is for a metric that has a value per seed; trains is counted",
    ),
    (
        "margin=0.1",
        'margin=0.1, seed_margin=0.1, metric="tokens_per_second"',
        "14",
        "claim 'mine': seed_margin is for a metric that has a value per seed; tokens_per_second",
    ),
    (
        'effect={"small": 1, "rms": -1}',
        'check="head-cost", seed_margin=0.1',
        "14",
        "claim 'mine' has a check, so seed_margin has no meaning",
    ),
    ("margin=0.1", 'margin=2, metric="trains"', "14", "claim 'mine' is counted in seeds: its mar"),
    (
        "margin=0.1",
        'margin=0.1, metric="trains", equal=True',
        "14",
        "claim 'mine' is counted in seeds: its margin is a share below 1, and threshold,",
    ),
    ("margin=0.1", 'margin=0.1, metric="trains", no_worse=True', "14", "is counted in seeds"),
    (
        'effect={"small": 1, "rms": -1},\n            margin=0.1',
        'effect={"attention fused": -1}, margin=0.1, metric="time_exponent"',
        "14",
        "claim 'mine' is about an exponent: its effect is one operation with the weight 1",
    ),
    ('said_by="somebody"', 'said_by=""', "14", "claim 'mine' needs said_by: who makes the claim"),
    (
        "margin=0.1",
        "margin=0.1, threshold=True",
        "14",
        "claim 'mine': threshold must be a number, not True",
    ),
    ("Claim, Variant, vary", "Claim, vary", "10", "name 'Variant' is not defined"),
    (
        '            requires=[Beats("small", "bigram")],\n',
        "",
        "5",
        "claim 'mine' is about what networks learn, and requires no gate, such as Beats",
    ),
    (
        'Beats("small", "bigram")',
        '"bigram"',
        "5",
        "claim 'mine': requires: 'bigram' is no gate: there are Beats, UsesContext, Solves, Trains",
    ),
    (
        '[Beats("small", "bigram")]',
        'Beats("small", "bigram")',
        "5",
        "claim 'mine': requires must be a list of gates",
    ),
    (
        'Beats("small", "bigram")',
        'Beats("smal", "bigram")',
        "5",
        "claim 'mine': requires: no arm 'smal', did you mean 'small'?",
    ),
    (
        'Beats("small", "bigram")',
        'Beats("small", "bigrams")',
        "5",
        "claim 'mine': requires: no yardstick 'bigrams', did you mean 'bigram'?",
    ),
    (
        '"small", "bigram")',
        '"small", by=-0.1)',
        "5",
        "requires: -0.1 is no threshold: it must be 0",
    ),
    ("budgets=[1, 4]", "budgets=[4, 1]", "5", "budgets=4,1 cannot work: budgets are whole"),
    ("budgets=[1, 4]", "budgets=[1, 1]", "5", "budgets=1,1 cannot work: budgets are whole"),
    ("budgets=[1, 4]", "budgets=[0, 4]", "5", "budgets=0,4 cannot work: budgets are whole"),
    ("budgets=[1, 4]", "budgets=[-1]", "5", "budgets=-1 cannot work: budgets are whole"),
    ("budgets=[1, 4]", "budgets=[1.5]", "5", "budgets=1.5 cannot work: budgets are whole"),
    ("budgets=[1, 4]", "budgets=[True, 4]", "5", "budgets=True,4 cannot work: budgets are whole"),
    ("budgets=[1, 4]", 'budgets=["4"]', "5", "budgets=4 cannot work: budgets are whole"),
    ("budgets=[1, 4]", "budgets=[]", "5", "budgets= cannot work: budgets are whole"),
    ("budgets=[1, 4]", "budgets=4", "5", "budgets=4 cannot work: budgets are whole"),
]


@pytest.mark.parametrize(("right", "wrong", "line", "message"), MISTAKES)
def test_a_mistake_is_refused_with_the_nearest_name(
    file: Path, right: str, wrong: str, line: str, message: str
):
    assert RIGHT.count(right) == 1
    refused_line, refused_message = refusal(file, RIGHT.replace(right, wrong))
    assert refused_line == line
    assert re.search(message, refused_message)


def test_two_claims_of_one_ablation_cannot_have_the_same_id():
    claim = Claim(id="twice", sentence="", said_by="nobody", check="head-cost")
    with pytest.raises(ValueError, match="claims: 'twice' appears 2 times"):
        Ablation(
            title="",
            question="",
            baseline="base",
            variants=[Variant("base")],
            claims=[claim, claim],
        )


def test_two_ablations_cannot_have_claims_with_the_same_id(file: Path):
    file.write_text(RIGHT)
    second = file.with_name(f"{file.stem}_too.py")
    expected = f"experiments/ablations/{second.name}: claim 'mine' is in experiments/ablations/"
    assert refusal(second, RIGHT) == ("", expected.partition(": ")[2] + f"{file.name} already")


def test_the_command_line_refuses_a_mistake_in_one_line_with_status_2(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    file.write_text(RIGHT.replace('baseline="small"', 'baseline="smoll"'))
    monkeypatch.setattr(sys, "argv", ["experiments", "list"])
    with pytest.raises(SystemExit) as stopped:
        command_line.main()
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: experiments/ablations/{file.name}:5: baseline: no variant")
    assert error.count("\n") == 1
