"""The checks of a graphics card, as far as a processor can run them."""

import itertools
from pathlib import Path

import pytest
import torch

from experiments.benchmarks import gpu_check
from experiments.benchmarks.gpu_check import CHECKS, Outcome, Place, run_checks
from experiments.cli import bench
from experiments.data.corpus import Corpus


@pytest.fixture
def place(corpus: Corpus, tmp_path: Path) -> Place:
    return Place("cpu", "cpu", corpus, tmp_path)


def test_on_a_processor_every_check_passes_or_says_that_it_needs_a_card(place: Place):
    results = {check.name: (check, result) for check, result, _ in run_checks(place)}
    assert len(results) == len(CHECKS) == 6
    for check, result in results.values():
        if check.needs_card:
            assert result == (Outcome.SKIPPED, "it needs a graphics card")
        else:
            assert result.outcome == Outcome.PASSED, result
    _, repeated = results["every network trains twice to the same bits"]
    assert repeated.detail == (
        "attention by written out: decoder, ALiBi, one head, grouped queries, encoder,"
        " encoder-decoder"
    )


@pytest.mark.parametrize("name", ["repetition", "resumption", "company"])
def test_a_number_that_does_not_repeat_fails_the_check(
    name: str, place: Place, monkeypatch: pytest.MonkeyPatch
):
    train, calls = gpu_check._train, itertools.count()

    def drifting(*arguments, **options):
        numbers = train(*arguments, **options)
        numbers["decoder" if "decoder" in numbers else "seed 0"][0] += 1e-6 * next(calls)
        return numbers

    monkeypatch.setattr(gpu_check, "_train", drifting)
    result = getattr(gpu_check, name)(place)
    assert result.outcome == Outcome.FAILED
    assert result.detail in ("other numbers: decoder", "other numbers: seed 0")


def test_a_run_that_fails_fails_its_check(place: Place, tmp_path: Path):
    broken = Place("cpu", "cpu", gpu_check.replace(place.corpus, folder=tmp_path / "no"), tmp_path)
    outcomes = [result for _, result, _ in run_checks(broken)][:3]
    assert all(result.outcome == Outcome.FAILED for result in outcomes)
    assert all("failed: " in result.detail for result in outcomes)


def test_networks_cover_every_family_and_both_kinds_of_dropout(place: Place):
    specs = gpu_check.networks(place)
    families = {spec.model.family for spec in specs.values()}
    assert families == {"decoder", "encoder", "encoder_decoder", "lstm", "mlp", "bigram"}
    assert {name for name, spec in specs.items() if spec.model.dropout} >= {"decoder", "LSTM"}
    assert specs["one head"].model.n_heads == 1
    assert specs["grouped queries"].model.kv_heads == specs["decoder"].model.n_heads // 2


@pytest.mark.parametrize("outcome", [Outcome.PASSED, Outcome.FAILED])
def test_the_command_says_what_to_do_about_a_failure_and_its_exit_status_tells(
    outcome: Outcome, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    check = gpu_check.Check("it works", None, False, "mend it")  # type: ignore[arg-type]
    monkeypatch.setattr(
        gpu_check, "run_checks", lambda _: [(check, gpu_check.Result(outcome, "seen"), 1.0)]
    )
    failed = outcome == Outcome.FAILED
    assert bench.gpu_check(device="cpu") == int(failed)
    printed = capsys.readouterr().out
    assert f"{outcome:8} it works (1 s): seen" in printed
    assert ("what to do: mend it" in printed) == failed


@pytest.mark.cuda
def test_attention_kernels_of_a_card_agree_with_the_definition(corpus: Corpus, tmp_path: Path):
    result = gpu_check.kernels(Place("cuda", "cuda:0", corpus, tmp_path))
    assert result.outcome == Outcome.PASSED, result.detail


def test_attended_gives_the_gradients_of_queries_keys_and_values():
    inputs = list(torch.randn(3, 1, 2, 5, 4))
    y, *gradients = gpu_check._attended(gpu_check.attend_reference, inputs, torch.ones(1, 2, 5, 4))
    assert y.shape == (1, 2, 5, 4)
    # Weights sum to one over the keys, so the values' gradients sum to the number of queries.
    torch.testing.assert_close(gradients[2].sum(2), torch.full((1, 2, 4), 5.0))
    assert all(gradient.abs().sum() > 0 for gradient in gradients)
