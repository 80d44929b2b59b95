"""Run ids, written down: results on disk are found by their run ids, so the ids must not change."""

import dataclasses

import pytest

from experiments.spec import Recipe, RunSpec
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
    "final_eval_windows": 256,
}
# Changes of the model, changes of the recipe, seed, run id.
RUNS = [
    ({}, {}, 0, "7cdcba8c93b366f9"),
    ({}, {}, 7, "c9c156471cb95cd9"),
    (
        {"initialisation": "xavier", "embedding_scale": True},
        {"learning_rate": 1},
        0,
        "bb75af6024e331f3",
    ),
    (
        {"position": "alibi", "norm": "rmsnorm", "activation": "swiglu", "n_kv_heads": 2},
        {},
        0,
        "3308616e6db7f51a",
    ),
    ({"norm_placement": "none", "residual": False, "norm": "rmsnorm"}, {}, 1, "38712173e859ad32"),
    (
        {"attention": "reference", "masking": "after_softmax", "attention_scale": False},
        {},
        0,
        "b3736d240e0466e9",
    ),
    (
        {"family": "lstm", "n_layers": 2, "dropout": 0.2},
        {"optimizer": "adam", "gradient_clip": 5},
        0,
        "3e1fd1bc3ddd632d",
    ),
    ({"family": "mlp", "mlp_window": 4}, {"label_smoothing": 0.1}, 0, "d4c92866d76a4a5a"),
    ({"family": "bigram", "bigram_smoothing": 2}, {}, 0, "abb2e513440d5e54"),
    (
        {"family": "encoder", "vocab_size": 85},
        {"task": "masked", "schedule": "inverse_sqrt"},
        0,
        "dc8b8592aae19db3",
    ),
    (
        {"family": "encoder", "vocab_size": 85, "n_classes": 3, "tie_embeddings": False},
        {"task": "genre"},
        2,
        "6aa5d5c69175ae78",
    ),
    (
        {"family": "encoder_decoder", "vocab_size": 25, "position": "learned"},
        {"task": "sort", "schedule": "constant"},
        0,
        "e63c20def92f1647",
    ),
    (
        {"vocab_size": 25, "bias": False},
        {"task": "repeat", "precision": "bf16", "compiled": True, "weight_decay": 0},
        0,
        "78bc08f45f1514d9",
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


def test_a_written_spec_without_the_field_tuning_is_read_as_a_comparison_run():
    spec = spec_of(*RUNS[0][:3])
    text = spec.to_json().replace(',\n  "tuning": false', "")
    assert "tuning" not in text
    assert RunSpec.from_json(text) == spec
    assert RunSpec.from_json(text).run_id == RUNS[0][3]


def test_a_tuning_run_has_an_id_of_its_own():
    spec = spec_of(*RUNS[0][:3])
    tuning = dataclasses.replace(spec, tuning=True)
    assert tuning.run_id == "84fb5e7f51a994a9"
    assert tuning.identity() == spec.identity() | {"tuning": True}
    assert "tuning" not in spec.identity()
    assert RunSpec.from_json(tuning.to_json()) == tuning
