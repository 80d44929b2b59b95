"""Probes of one's own: measured on a copy, checked before training, made anew when edited."""

import dataclasses
import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from recorded import run as train

from experiments.ablation import Ablation, Claim, OwnProbe, Variant
from experiments.data.corpus import Corpus
from experiments.identity import mechanism_fingerprint
from experiments.probes.own import OwnProbeError, check_own_probes, measure
from experiments.records.losses import own_measures
from experiments.records.run_folder import RunFolder
from experiments.running import worker
from experiments.spec import RunSpec
from experiments.training.tasks import build_task
from model import ModelConfig, build

TEXT = '''"""Probes of one's own."""

from experiments.ablation import Ablation, OwnProbe, Variant


def sizes(model, run, task):
    """Root mean square of each layer's first matrix."""
    weights = [layer.feed_forward.inner.hidden.weight for layer in model.layers]
    found = [weight.square().mean().sqrt().item() for weight in weights]
    return {"hidden": found, "by_depth": {1: found[0], 2.5: found[-1]}, "largest": max(found)}


def meddling(model, run, task):
    """Changes what it is given, and draws random numbers."""
    import torch

    for parameter in model.parameters():
        parameter.data.zero_()
    torch.rand(10)
    return {"zero": 0.0}


def empty(model, run, task):
    return {}


def word(model, run, task):
    return {"largest": "much"}


def lines_of_words(model, run, task):
    return {"line": [1.0, "much"]}


def none(model, run, task):
    return None


def broken(model, run, task):
    return {"zero": 1 / 0}


ABLATION = Ablation(
    title="Mine",
    question="Mine?",
    baseline="base",
    variants=[Variant("base")],
    probes=[OwnProbe(measure=sizes, metrics=["largest"]), OwnProbe(measure=empty, metrics=["x"])],
)
'''


@pytest.fixture
def reference(ablation_file: Callable[[str], Path]) -> str:
    """The module of the file with the probes."""
    return f"experiments.ablations.{ablation_file(TEXT).stem}"


@pytest.fixture
def spec(config: ModelConfig, corpus: Corpus) -> RunSpec:
    from experiments.profiles import PROFILES

    model = dataclasses.replace(config, vocab_size=len(corpus.vocabulary))
    recipe = dataclasses.replace(
        PROFILES["smoke"].recipe, steps=6, eval_every=3, log_every=2, warmup_steps=2
    )
    return RunSpec(model=model, recipe=recipe, corpus=corpus.hash, seed=0)


def with_probe(spec: RunSpec, reference: str, function: str) -> RunSpec:
    name = f"{reference}:{function}@{mechanism_fingerprint(reference)}"
    return dataclasses.replace(spec, probes=(name,))


def untimed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows without what is measured in seconds."""
    return [{name: row[name] for name in row if "second" not in name} for row in rows]


def test_numbers_are_metrics_and_lists_and_dictionaries_are_lines(
    spec: RunSpec, corpus: Corpus, reference: str
):
    mine = with_probe(spec, reference, "sizes")
    torch.manual_seed(0)
    model = build(spec.model)
    task = build_task(mine, corpus, torch.device("cpu"))
    rows = measure(mine.probes[0], model, mine, task)["own_probes"]
    sizes = [
        layer.feed_forward.inner.hidden.weight.square().mean().sqrt().item()
        for layer in model.layers
    ]
    assert own_measures(rows) == [{"measure": "sizes.largest", "value": max(sizes)}]
    lines = [(row["line"], row["x"], row["y"]) for row in rows if row["x"] is not None]
    assert lines == [
        *(("hidden", float(i), size) for i, size in enumerate(sizes)),
        ("by_depth", 1.0, sizes[0]),
        ("by_depth", 2.5, sizes[-1]),
    ]
    assert {row["probe"] for row in rows} == {*mine.probes}


def test_a_probe_that_changes_its_network_changes_no_number_of_the_run(
    spec: RunSpec, corpus: Corpus, reference: str
):
    plain, points = train(spec, corpus)
    probed, same_points = train(with_probe(spec, reference, "meddling"), corpus)
    assert untimed([plain, *points]) == untimed([probed, *same_points])


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("word", "returned 'largest' as 'much'"),
        ("lines_of_words", r"returned 'line' as \[1.0, 'much'\]"),
        ("none", "returned None and not a dictionary"),
        ("empty", "names the metrics 'empty.x', and its function returned ''"),
    ],
)
def test_a_probe_that_returns_something_else_is_refused_before_the_training(
    function: str, message: str, spec: RunSpec, corpus: Corpus, reference: str
):
    mine = with_probe(spec, reference, function)
    task = build_task(mine, corpus, torch.device("cpu"))
    with pytest.raises(OwnProbeError, match=message):
        check_own_probes(mine, task, build(spec.model))


def test_a_probe_that_fails_stops_the_run_before_its_first_step(
    spec: RunSpec, corpus: Corpus, reference: str, monkeypatch: pytest.MonkeyPatch
):
    begun: list[int] = []
    monkeypatch.setattr(worker, "train", lambda *_: begun.append(1))
    with pytest.raises(ZeroDivisionError):
        train(with_probe(spec, reference, "broken"), corpus)
    assert not begun


def test_an_edited_probe_is_another_probe_and_an_edited_claim_is_not(
    ablation_file: Callable[[str], Path],
):
    file = ablation_file(TEXT)
    module = importlib.import_module(f"experiments.ablations.{file.stem}")
    names = module.ABLATION.probe_names
    for text, same in (
        (TEXT.replace('title="Mine"', 'title="Yours"'), True),
        (TEXT.replace("max(found)", "min(found)"), False),
    ):
        file.write_text(text)
        mechanism_fingerprint.cache_clear()
        assert (module.ABLATION.probe_names == names) == same
    del sys.modules[module.__name__]


def test_rows_of_a_probe_that_was_edited_since_are_removed_when_the_run_is_trained_again(
    spec: RunSpec, reference: str, tmp_path: Path
):
    mine = with_probe(spec, reference, "sizes")
    folder = RunFolder(tmp_path, mine.run_id)
    folder.start(mine)
    old = folder.probe(mine.probes[0].replace("@", "@0"))
    old.parent.mkdir()
    another = mine.probes[0].replace(":sizes", ":of_another_ablation")
    for name in (*mine.probes, old.name.removesuffix(".json"), "heads", another):
        folder.probe(name).write_text(json.dumps({}))
    folder.finish({"status": "done"})
    assert folder.finished(mine.probes)
    assert not folder.finished([mine.probes[0].replace("@", "@1")])
    folder.start(mine)
    assert not old.exists()
    assert folder.probe("heads").exists()
    assert folder.probe(another).exists()  # of a shared run, not asked for by this plan
    assert folder.probe(mine.probes[0]).exists()


def sharpness(model: object, run: object, task: object) -> dict[str, float]:
    return {"largest": 1.0}


CLAIM = Claim(
    id="mine",
    sentence="It is sharp.",
    said_by="nobody",
    effect={"base": 1},
    metric="sharpness.largest",
    margin=0.1,
    why_margin="it is a test",
)


def ablation(probe: OwnProbe, *more: OwnProbe, claim: Claim = CLAIM) -> Ablation:
    return Ablation(
        title="Mine",
        question="Mine?",
        baseline="base",
        variants=[Variant("base")],
        claims=[claim],
        probes=[probe, *more],
    )


def test_a_claim_can_be_about_a_metric_of_an_own_probe():
    mine = ablation(OwnProbe(measure=sharpness, metrics=["largest"]))
    assert mine.claims[0].unit == "sharpness largest"
    assert not mine.claims[0].learnt


def test_a_metric_that_a_probe_does_not_name_is_refused_with_those_that_it_names():
    wrong = dataclasses.replace(CLAIM, metric="sharpness.larges")
    with pytest.raises(ValueError, match="'sharpness' are largest, and not 'larges'"):
        ablation(OwnProbe(measure=sharpness, metrics=["largest"]), claim=wrong)


def test_a_probe_twice_is_refused():
    probe = OwnProbe(measure=sharpness, metrics=["largest"])
    with pytest.raises(ValueError, match="sharpness' appears 2 times"):
        ablation(probe, OwnProbe(measure=sharpness, metrics=["other"]))


@pytest.mark.parametrize("metrics", ["largest", ["a.b"], ["a", "a"], [""], [3]])
def test_names_of_metrics_that_cannot_be_told_apart_are_refused(metrics: list[str]):
    with pytest.raises(ValueError, match="metrics="):
        OwnProbe(measure=sharpness, metrics=metrics)
