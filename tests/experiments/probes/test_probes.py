"""Probes on networks whose scores are known, and through a whole run."""

import dataclasses
import json
import math
from pathlib import Path
from typing import get_args

import pytest
import torch
from recorded import NoProgress, run
from torch import Tensor, nn

from experiments.data.corpus import Corpus
from experiments.probes.heads import head_scores
from experiments.probes.layers import layer_measures, layers
from experiments.probes.pruning import switched_off
from experiments.probes.registry import PROBES
from experiments.probes.trained_model import TrainedModel, validation_losses
from experiments.recipe import Recipe
from experiments.records.run_folder import RunFolder
from experiments.records.schema import COLUMNS
from experiments.running.job import Job
from experiments.running.worker import Recorder
from experiments.spec import Probe, RunSpec
from experiments.training.tasks import Batch, LanguageModelling
from model import ModelConfig, build
from model.attention import Attention, Scoring, recorded_attention

CPU = torch.device("cpu")
ALL = get_args(Probe)


def untrained(config: ModelConfig, recipe: Recipe, corpus: Corpus, **changes) -> TrainedModel:
    model = dataclasses.replace(config, vocab_size=len(corpus.vocabulary), **changes)
    spec = RunSpec(model=model, recipe=recipe, corpus=corpus.hash, seed=0)
    torch.manual_seed(0)
    return TrainedModel(build(model).eval(), spec, LanguageModelling(spec, corpus, CPU))


class Attends(Attention):
    """A network of one layer whose heads attend by `patterns`: query and time to key."""

    def __init__(self, config: ModelConfig, patterns: list) -> None:
        super().__init__(config)
        self.patterns = patterns

    def forward(self, tokens: Tensor) -> Tensor:
        time = tokens.shape[1]
        q = torch.full((len(tokens), len(self.patterns), time, time), -30.0)
        for head, pattern in enumerate(self.patterns):
            for query in range(time):
                q[:, head, query, pattern(query, time)] = 30.0
        eye = torch.eye(time).expand_as(q)  # keys with which the queries are the scores
        return self.attend(q, eye, eye, Scoring(1.0), 0.0)


def test_head_scores_find_planted_roles(config: ModelConfig):
    """The heads attend to the previous token, the first, the query itself, and by induction."""
    patterns = [
        lambda query, _: max(query - 1, 0),
        lambda query, _: 0,
        lambda query, _: query,
        lambda query, time: max(query - (time // 2 - 1), 0),
    ]
    tokens, near = torch.zeros(2, 16, dtype=torch.long), {"abs": 1e-4}
    scores = head_scores(Attends(config, patterns), tokens, tokens)
    # for the second query the previous token is the first token
    assert scores["previous"][0].tolist() == pytest.approx([1, 1 / 15, 0, 1 / 15], **near)
    assert scores["first"][0].tolist() == pytest.approx([1 / 15, 1, 0, 7 / 15], **near)
    assert scores["induction"][0].tolist() == pytest.approx([0, 0, 0, 1], **near)
    assert scores["distance"][0].tolist()[:3] == pytest.approx([15 / 16, 7.5, 0], **near)
    assert scores["entropy"][0].tolist() == pytest.approx([0, 0, 0, 0], **near)


def test_entropy_of_even_attention_is_the_logarithm_of_the_number_of_keys(config: ModelConfig):
    model = build(dataclasses.replace(config, position="none"))
    for module in model.modules():
        if isinstance(module, Attention):
            nn.init.zeros_(module.qkv.weight)
    tokens = torch.zeros(2, 8, dtype=torch.long)
    scores = head_scores(model, tokens, tokens)
    expected = sum(math.log(n) for n in range(1, 9)) / 8
    assert scores["entropy"].flatten().tolist() == pytest.approx([expected] * 8, abs=1e-5)


def test_logit_variance_equals_that_of_known_logits(config: ModelConfig):
    """The logits of every query are 0, 1, 0, 1, …, and three times that in the second head."""

    class Scores(Attends):
        def forward(self, tokens: Tensor) -> Tensor:
            time = tokens.shape[1]
            scores = (torch.arange(time) % 2.0).expand(len(tokens), 2, time, time)
            scores = scores * torch.tensor([1.0, 3.0])[:, None, None]
            eye = torch.eye(time).expand_as(scores)
            return self.attend(scores, eye, eye, Scoring(1.0), 0.0)

    tokens = torch.zeros(2, 16, dtype=torch.long)
    variance = head_scores(Scores(config, []), tokens, tokens)["logit_variance"][0].tolist()
    shares = [(n // 2) / n for n in range(2, 17)]
    expected = sum(share * (1 - share) for share in shares) / len(shares)
    assert variance == pytest.approx([expected, 9 * expected], rel=1e-4)


def test_atlas_holds_the_attention_weights_on_the_first_validation_tokens(config, recipe, corpus):
    trained = untrained(config, recipe, corpus)
    rows = PROBES["atlas"](trained)["atlas"]
    time = config.context_length
    text = "".join(row["token"] for row in rows[:time])
    assert len(rows) == config.n_layers * config.n_heads * time
    passage = trained.task.tokens["val"][:time]
    assert text == "".join(corpus.vocabulary[token] for token in passage)
    with torch.no_grad(), recorded_attention(trained.model) as recorded:
        trained.model(passage[None].long())
    weights = list(recorded.values())
    for row in rows:
        expected = weights[row["layer"]][0, row["head"], row["query"]].tolist()
        assert row["weights"] == pytest.approx(expected[: row["query"] + 1], abs=1e-4)
        assert not any(expected[row["query"] + 1 :])
    for attention in weights:  # the heads differ, so a mix-up would be noticed
        assert (attention[0, 0] - attention[0, 1]).abs().max() > 1e-3


def test_loss_at_the_training_length_is_the_mean_over_positions(config, recipe, corpus):
    trained = untrained(config, recipe, corpus)
    by_position = [row["loss"] for row in PROBES["positions"](trained)["positions"]]
    assert len(by_position) == config.context_length
    tables = PROBES["lengths"](trained)
    by_length = {row["multiple"]: row for row in tables["lengths"]}
    assert by_length[1]["loss"] == pytest.approx(sum(by_position) / len(by_position), rel=1e-5)
    assert [by_length[n]["length"] for n in (1, 2, 4, 8)] == [16, 32, 64, 128]
    measures = {row["measure"] for row in tables["measures"]}
    assert measures == {f"{loss}_beyond_{n}x" for loss in ("loss", "rise") for n in (2, 4, 8)}


def test_the_rise_past_the_training_length_is_over_the_loss_within_in_the_same_text(
    config, recipe, corpus
):
    trained = untrained(config, recipe, corpus)
    context = config.context_length
    losses = validation_losses(trained, 4 * context, max(1, recipe.eval_windows // 4))
    expected = losses[:, context:].mean() - losses[:, :context].mean()
    values = {row["measure"]: row["value"] for row in PROBES["lengths"](trained)["measures"]}
    assert values["rise_beyond_4x"] == pytest.approx(expected.item(), abs=1e-6)


def test_initial_entropy_is_that_of_the_untrained_network(config, recipe, corpus):
    trained = untrained(config, recipe, corpus)
    values = {row["measure"]: row["value"] for row in PROBES["heads"](trained)["measures"]}
    assert values["initial_attention_entropy"] == values["attention_entropy"]
    with torch.no_grad():
        for module in trained.model.modules():
            if isinstance(module, Attention):
                module.qkv.weight.mul_(30)
    after = {row["measure"]: row["value"] for row in PROBES["heads"](trained)["measures"]}
    assert after["initial_attention_entropy"] == values["initial_attention_entropy"]
    assert after["attention_entropy"] < values["attention_entropy"] / 2


def test_the_broadest_head_of_a_network_whose_scores_are_all_equal_attends_evenly(
    config, recipe, corpus
):
    trained = untrained(config, recipe, corpus, position="none")
    with torch.no_grad():
        for module in trained.model.modules():
            if isinstance(module, Attention):
                module.qkv.weight[: config.d_model] = 0
                module.qkv.bias[: config.d_model] = 0
    values = {row["measure"]: row["value"] for row in PROBES["heads"](trained)["measures"]}
    assert values["broadest_head"] == pytest.approx(1, abs=1e-6)


def test_learned_positions_have_no_loss_beyond_their_length(config, recipe, corpus):
    tables = PROBES["lengths"](untrained(config, recipe, corpus, position="learned"))
    losses = [row.get("loss") for row in tables["lengths"]]
    assert losses[0] is not None
    assert losses[1:] == [None, None, None]
    assert tables["measures"] == []


def test_switched_off_head_has_no_output_until_the_block_ends(config: ModelConfig):
    torch.manual_seed(0)
    model, tokens = build(config).double().eval(), torch.randint(11, (2, 9))
    attentions = [module for module in model.modules() if isinstance(module, Attention)]
    plain, width = model(tokens), config.head_dim
    with switched_off(attentions, []):
        assert torch.equal(model(tokens), plain)
    with switched_off(attentions, [(1, 2)]):
        off = model(tokens)
    assert not torch.equal(off, plain)
    assert torch.equal(model(tokens), plain)  # the head is on again
    attentions[1].output.weight.data[:, 2 * width : 3 * width] = 0
    torch.testing.assert_close(model(tokens), off)


def test_pruning_orders_heads_by_rise_and_counts_removable_heads(config, recipe, corpus):
    """Three heads of each layer have a zero output matrix; the fourth has a large one."""
    trained = untrained(config, recipe, corpus)
    attentions = [m for m in trained.model.modules() if isinstance(m, Attention)]
    torch.manual_seed(1)
    for attention in attentions:
        nn.init.normal_(attention.output.weight, std=3.0)
        attention.output.weight.data[:, : 3 * config.head_dim] = 0
    tables = PROBES["pruning"](trained)
    share = tables["measures"][0]["value"]
    by_order = sorted(tables["pruning"], key=lambda row: row["order"])
    assert [row["order"] for row in by_order] == list(range(1, 9))
    alone = [row["rise_alone"] for row in by_order]
    assert alone == sorted(alone)
    zero = [row for row in by_order if row["head"] < 3]
    assert all(row["rise_alone"] == 0 for row in zero)
    together = [row["rise_together"] for row in by_order]
    free = next((n for n, rise in enumerate(together) if rise > 0.02), len(together))
    assert share == free / 8
    assert together[-1] != together[0]


def test_layers_equal_the_gradients_of_a_backward_pass(config, recipe, corpus):
    trained = untrained(config, recipe, corpus)
    batch = trained.task.training(0)
    rows = layers(trained.model, 0, batch)
    assert all(parameter.grad is None for parameter in trained.model.parameters())
    logits = trained.model(*batch.inputs).flatten(0, 1)
    nn.functional.cross_entropy(logits, batch.targets.flatten()).backward()
    for row in rows:
        inner = getattr(trained.model.layers[row["layer"]], row["part"]).inner
        assert row["gradient_norm"] == pytest.approx(inner.output.weight.grad.norm().item())
        assert row["output_rms"] > 0
    assert len(rows) == 2 * config.n_layers
    (measure,) = layer_measures(rows)
    assert measure["value"] == rows[-1]["gradient_norm"]
    lstm = untrained(config, recipe, corpus, family="lstm")
    assert layers(lstm.model, 0, Batch((torch.zeros(1, 4).long(),), torch.zeros(1, 4).long())) == []


def test_samples_are_500_tokens_of_the_vocabulary(config, recipe, corpus):
    random, greedy = PROBES["samples"](untrained(config, recipe, corpus))["samples"]
    assert len(random["text"]) == len(greedy["text"]) == 500
    assert set(random["text"]) <= set(corpus.vocabulary)
    assert random["text"] != greedy["text"]


@pytest.mark.parametrize("family", ["decoder", "lstm", "mlp", "bigram"])
def test_probes_do_not_change_the_numbers_of_a_run(
    config, recipe, corpus, tmp_path: Path, family: str
):
    plain_spec = untrained(config, recipe, corpus, family=family, dropout=0.2).spec
    spec = dataclasses.replace(plain_spec, probes=ALL)
    assert spec.run_id == plain_spec.run_id
    folder = RunFolder(tmp_path, spec.run_id)
    folder.start(spec, {})
    plain, _ = run(plain_spec, corpus)
    job = Job(corpus, tmp_path, {})
    probed = Recorder(spec, job, folder, {}, NoProgress()).run(CPU)
    assert plain["val_loss"] == probed["val_loss"]
    folder.finish({"status": "done"})
    assert folder.finished(ALL)
    for tables in folder.probe_tables().values():
        for table, rows in tables.items():
            columns = {name for name, _, _ in COLUMNS[table]}
            assert all(set(row) <= columns for row in rows)
    folder.probe("heads").unlink()
    assert folder.summary() == {
        "status": "damaged",
        "reason": "heads.json is not as it was written",
    }
    folder.finish({"status": "done"})  # now without a file for the probe "heads"
    assert not folder.finished(ALL)
    assert folder.finished()
    steps = {row["step"] for row in json.loads(folder.probe("layers").read_text())["layers"]}
    assert steps == ({0, 3, 6} if family == "decoder" else set())


def test_probes_of_other_tasks_than_language_are_refused(config: ModelConfig, recipe: Recipe):
    with pytest.raises(ValueError, match=r"probes=.* cannot work"):
        RunSpec(
            model=dataclasses.replace(config, family="encoder"),
            recipe=dataclasses.replace(recipe, task="masked"),
            corpus="",
            seed=0,
            probes=("heads",),
        )
