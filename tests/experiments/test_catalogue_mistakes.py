"""What is wrong in an ablation's file is told with its line, its field and the nearest name."""

import re
from pathlib import Path

import pytest

from experiments import catalogue
from experiments.ablation import Times, Variant, cross, custom, vary, without_each
from experiments.catalogue import load_ablations
from experiments.errors import UserError
from experiments.plan import preliminary_plan
from experiments.profiles import PROFILES

RIGHT = '''"""A question."""

from experiments.ablation import Ablation, Claim, Variant, vary

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
        ),
    ],
    probes=["positions"],
)
'''


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of an ablation, alone in its folder."""
    package = __import__("experiments.ablations").ablations
    monkeypatch.setattr(package, "__path__", [str(tmp_path)])
    monkeypatch.setattr(catalogue, "FOLDER", tmp_path)
    name = f"mine_{tmp_path.name}"  # no other test has imported it
    return tmp_path / f"{name}.py"


def refusal(file: Path, text: str) -> str:
    """What is said about it, from the line on."""
    file.write_text(text)
    with pytest.raises(UserError) as refused:
        preliminary_plan(PROFILES["smoke"], 1)
    place, name, said = str(refused.value).partition(f"/{file.name}:")
    assert place.endswith(file.parent.name)
    assert name
    return said


def test_the_file_itself_is_right(file: Path):
    file.write_text(RIGHT)
    assert [*load_ablations()] == [file.stem.replace("_", "-")]
    assert len(preliminary_plan(PROFILES["smoke"], 1)) > 2


@pytest.mark.parametrize(
    ("right", "wrong", "line", "said"),
    [
        (
            '"model.n_layers"',
            '"model.n_layer"',
            10,
            "no field 'model.n_layer', did you mean 'model.n_layers'?",
        ),
        ('"rmsnorm"}', '"rmsnrm"}', 11, "norm='rmsnrm' cannot work: .*, did you mean 'rmsnorm'?"),
        (
            '"model.n_layers": 1',
            '"model.n_layers": 0',
            10,
            "n_layers=0 cannot work: it must be a whole",
        ),
        (
            'tuned_for="small"',
            'tuned_for="smal"',
            11,
            "tuned_for of 'rms': there is no 'smal', did you mean 'small'?",
        ),
        (
            'baseline="small"',
            'baseline="smoll"',
            8,
            "baseline: there is no 'smoll', did you mean 'small'?",
        ),
        ('"rms": -1', '"rmm": -1', 18, "effect of 'mine': there is no 'rmm', did you mean 'rms'?"),
        (
            "margin=0.1",
            'margin=0.1, metric="val_los"',
            19,
            "metric of 'mine': there is no 'val_los', did you mean 'val_loss'?",
        ),
        (
            '["positions"]',
            '["position"]',
            23,
            "probes: there is no 'position', did you mean 'positions'?",
        ),
        (
            '            why_margin="a test",\n',
            "",
            15,
            "claim 'mine' needs a check, or an effect with margin",
        ),
        (
            "sentence=",
            "sentense=",
            14,
            "unexpected keyword argument 'sentense', did you mean 'sentence'?",
        ),
        (
            "Claim, Variant, vary",
            "Claim, Varient, vary",
            3,
            "cannot import name 'Varient' .*, did you mean 'Variant'?",
        ),
        (
            "variants=[\n",
            "variants=[\n        *vary('n_headz', [1, 2]),\n",
            10,
            "no field 'n_headz', did you mean 'n_heads'?",
        ),
        ('"A title"', '"A title', 6, "unterminated string literal"),
        ("ABLATION = ", "ABLATIONS = ", "", "it states no ABLATION"),
        ('Variant("rms"', 'Variant("small"', 10, "two variants are called 'small'"),
        ("variants=[\n", "variants=[\n        vary('n_heads', [1, 2]),\n", 9, "a star before it"),
        (
            '"small", {"model.n_layers": 1}',
            '"small", "model.n_layers"',
            10,
            "the changes of variant 'small' are no",
        ),
        ('{"small": 1,', '{"small": "1",', 18, "'mine': small is '1', and no number"),
        ("margin=0.1", "margin=None", 19, "'mine': margin is None, and no number"),
        ("Claim, Variant, vary", "Claim, vary", 10, "'Variant' is not defined: import it from"),
    ],
)
def test_a_mistake_has_its_line_and_the_nearest_name(
    file: Path, right: str, wrong: str, line: int | str, said: str
):
    assert RIGHT.count(right) == 1
    told = refusal(file, RIGHT.replace(right, wrong))
    at, _, rest = told.partition(" ") if line == "" else told.partition(": ")
    assert at == str(line)
    assert re.search(said, rest)


def test_vary_names_what_it_varies():
    assert [v.name for v in vary("n_heads", [1, 2])] == ["heads-1", "heads-2"]
    assert vary("n_heads", [2]) == [Variant("heads-2", {"model.n_heads": 2})]
    assert vary("recipe.steps", [Times(2)]) == [Variant("steps-2x", {"recipe.steps": Times(2)})]
    assert [v.name for v in vary("position", ["none", "rope"])] == ["none", "rope"]
    assert [v.name for v in vary("dropout", [0.1], called="drop")] == ["drop-0.1"]
    assert [v.name for v in vary("tie_embeddings", [False])] == ["tie-embeddings-false"]


def test_cross_is_every_one_with_every_other():
    found = cross(vary("n_heads", [1, 2]), vary("norm", ["layernorm", "rmsnorm"]))
    names = ["heads-1-layernorm", "heads-1-rmsnorm", "heads-2-layernorm", "heads-2-rmsnorm"]
    assert [v.name for v in found] == names
    assert found[1].changes == {"model.n_heads": 1, "model.norm": "rmsnorm"}
    with pytest.raises(ValueError, match=r"two axes change model\.n_heads"):
        cross(vary("n_heads", [1]), vary("n_heads", [2]))


def test_a_strong_variant_loses_one_part_at_a_time():
    strong = Variant("all", {"model.norm": "rmsnorm", "model.n_kv_heads": 2})
    found = without_each(strong, {"model.norm": "layernorm"})
    assert found == [
        strong,
        Variant("all-without-rmsnorm", {"model.n_kv_heads": 2, "model.norm": "layernorm"}),
        Variant("all-without-kv-heads-2", {"model.norm": "rmsnorm"}),
    ]
    assert without_each(strong, {"norm": "layernorm"}) == found
    with pytest.raises(ValueError, match=r"'all' does not change model\.dropout"):
        without_each(strong, {"dropout": 0.1})
    tuned = Variant("tuned", {"model.norm": "rmsnorm"}, tuned_for="all")
    for build in (without_each, lambda variant: cross([variant])):
        with pytest.raises(ValueError, match="a rate or a match is for the variants that come out"):
            build(tuned)


def test_a_function_of_ones_own_is_named_by_where_it_stands():
    assert custom(refusal) == f"{__name__}:refusal"
