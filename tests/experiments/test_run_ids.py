"""Run ids, written down: results on disk are found by their run ids, so the ids must not change."""

import dataclasses

import pytest

from experiments.identity import LEFT_OUT
from experiments.recipe import Recipe
from experiments.spec import RunSpec
from model import ModelConfig

MODEL = {
    "vocab_size": 84,
    "context_length": 128,
    "d_model": 64,
    "n_layers": 4,
    "n_heads": 4,
    "d_ff": 256,
}
RECIPE = {
    "steps": 250,
    "batch_size": 8,
    "learning_rate": 0.01,
    "warmup_steps": 25,
    "eval_every": 25,
    "eval_windows": 32,
}
# Changes of the model, changes of the recipe, seed, run id.
RUNS = [
    ({}, {}, 0, "db0ce86d4b93195b"),
    ({}, {}, 7, "d998a6ffeecc03eb"),
    (
        {"initialisation": "xavier", "embedding_scale": True},
        {"learning_rate": 1},
        0,
        "9a29a01bc37b9ae9",
    ),
    (
        {"position": "alibi", "norm": "rmsnorm", "activation": "swiglu", "n_kv_heads": 2},
        {},
        0,
        "a5a6ce482bb35826",
    ),
    ({"norm_placement": "none", "residual": False, "norm": "rmsnorm"}, {}, 1, "918c014162a42a3c"),
    (
        {"attention": "reference", "masking": "after_softmax", "attention_scale": False},
        {},
        0,
        "22296166ace6cd57",
    ),
    (
        {"family": "lstm", "n_layers": 2, "dropout": 0.2},
        {"optimizer": "adam", "gradient_clip": 5},
        0,
        "f08304b8aa7f95b7",
    ),
    ({"family": "mlp", "mlp_window": 4}, {"label_smoothing": 0.1}, 0, "19b20364a7e0fcfc"),
    ({"family": "bigram", "bigram_smoothing": 2}, {}, 0, "776e23a75e453365"),
    (
        {"family": "encoder", "vocab_size": 85},
        {"task": "masked", "schedule": "inverse_sqrt"},
        0,
        "a7470b677eff331e",
    ),
    (
        {"family": "encoder", "vocab_size": 85, "n_classes": 3, "tie_embeddings": False},
        {"task": "genre"},
        2,
        "979f85fb83c60cd8",
    ),
    (
        {"family": "encoder_decoder", "vocab_size": 25, "position": "learned"},
        {"task": "sort", "schedule": "constant"},
        0,
        "be8df6461c806f59",
    ),
    (
        {"vocab_size": 25, "bias": False},
        {"task": "repeat", "precision": "bf16", "compiled": True, "weight_decay": 0},
        0,
        "9e094a25574c0f25",
    ),
]


def spec_of(model: dict, recipe: dict, seed: int, **more: object) -> RunSpec:
    return RunSpec(
        model=ModelConfig(**MODEL | model),
        recipe=Recipe(**RECIPE | recipe),
        corpus="c0",
        seed=seed,
        **more,
    )


@pytest.mark.parametrize(("model", "recipe", "seed", "run_id"), RUNS)
def test_run_id_does_not_change_by_accident(model: dict, recipe: dict, seed: int, run_id: str):
    assert spec_of(model, recipe, seed).run_id == run_id


@pytest.mark.parametrize(("part", "config"), [("model", ModelConfig), ("recipe", Recipe)])
def test_every_field_with_a_default_says_what_identities_leave_out(part: str, config: type):
    optional = {
        field.name
        for field in dataclasses.fields(config)
        if field.default is not dataclasses.MISSING
    }
    assert set(LEFT_OUT[part]) | {"n_kv_heads"} == optional | {"n_kv_heads"}


def test_an_identity_holds_only_what_differs_from_the_values_left_out():
    identity = spec_of({"position": "alibi", "n_kv_heads": 4}, {"beta2": 0.99}, 0).identity()
    required = {"vocab_size", "context_length", "d_model", "n_layers", "n_heads", "d_ff"}
    assert set(identity["model"]) == required | {"position"}
    assert set(identity["recipe"]) == set(RECIPE)


def test_a_new_field_at_its_default_changes_no_run_id(monkeypatch: pytest.MonkeyPatch):
    before = [spec_of(*run[:3]).run_id for run in RUNS]
    relevant = ModelConfig.relevant
    monkeypatch.setattr(ModelConfig, "relevant", lambda self: relevant(self) | {"qk_norm": False})
    monkeypatch.setitem(LEFT_OUT["model"], "qk_norm", False)
    assert [spec_of(*run[:3]).run_id for run in RUNS] == before
    monkeypatch.setattr(ModelConfig, "relevant", lambda self: relevant(self) | {"qk_norm": True})
    assert not {spec_of(*run[:3]).run_id for run in RUNS} & set(before)


def test_a_default_that_changes_later_is_written_into_the_identity():
    before = spec_of(*RUNS[0][:3])
    after = spec_of({"attention": "fused"}, {}, 0)  # as if "fused" had become the default
    assert after.run_id != before.run_id
    assert after.identity()["model"]["attention"] == "fused"


def test_a_written_spec_without_the_field_tuning_is_read_as_a_comparison_run():
    spec = spec_of(*RUNS[0][:3])
    text = spec.to_json().replace(',\n  "tuning": false', "")
    assert "tuning" not in text
    assert RunSpec.from_json(text) == spec
    assert RunSpec.from_json(text).run_id == RUNS[0][3]


def test_a_tuning_run_has_an_id_of_its_own():
    spec = spec_of(*RUNS[0][:3])
    tuning = dataclasses.replace(spec, tuning=True)
    assert tuning.run_id == "7bf60fa477a09e08"
    assert tuning.identity() == spec.identity() | {"tuning": True}
    assert "tuning" not in spec.identity()
    assert RunSpec.from_json(tuning.to_json()) == tuning
