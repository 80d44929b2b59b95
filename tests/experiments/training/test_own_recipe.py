"""An optimizer, a schedule, a loss and a task of one's own train, and go on bit for bit."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from recorded import run as train

from experiments.ablation import Variant
from experiments.data.corpus import Corpus
from experiments.recipe import guess_loss
from experiments.spec import RunSpec
from experiments.training.checkpoint import Checkpoint
from experiments.training.events import TrainingState
from experiments.training.loop import train as fit
from experiments.training.optim import learning_rate_at
from experiments.training.tasks import build_task
from model import ModelConfig

OWN = '''"""Parts of a recipe."""


def signs(model, recipe):
    """Steps of one length, along the sign of a decaying sum of gradients (Chen 2023).

    The decay and the number of steps are kept as numbers, in the groups and in the state, and the
    sum in a list.
    """
    import torch

    class Signs(torch.optim.Optimizer):
        @torch.no_grad()
        def step(self):
            for group in self.param_groups:
                group["decay"] = 0.9 + 0.05 * (1 - group["decay"])
                for parameter in group["params"]:
                    state = self.state[parameter]
                    state.setdefault("sums", [[], (torch.zeros_like(parameter), None)])
                    total = state["sums"][1][0]
                    state["steps"] = state.get("steps", 0) + 1
                    total.mul_(group["decay"]).add_(parameter.grad)
                    parameter.sub_(group["lr"] / state["steps"] ** 0.5 * total.sign())

    return Signs(model.parameters(), {"lr": recipe.learning_rate, "decay": 0.9, "pair": (1, 2.0)})


def steps_down(step, recipe):
    """All of the rate in the first half, a tenth in the second."""
    return 1.0 if step < recipe.steps / 2 else 0.1


def confident(logits, targets, recipe):
    """Cross-entropy, and a penalty on even answers."""
    from experiments.training.loss import cross_entropy

    log_shares = logits.log_softmax(-1)
    entropy = -(log_shares.exp() * log_shares).sum(-1).mean()
    return cross_entropy(logits, targets, recipe.label_smoothing) + 0.1 * entropy


def parity(spec, corpus, device):
    """Whether the number of ones so far is odd, at every position."""
    import numpy as np
    import torch

    from experiments.training.tasks import Batch

    class Parity:
        def batch(self, *key):
            shape = (spec.recipe.batch_size, spec.model.context_length)
            bits = torch.from_numpy(np.random.default_rng(key).integers(2, size=shape)).to(device)
            return Batch((bits,), bits.cumsum(1) % 2)

        def training(self, step):
            return self.batch(spec.seed, step)

        def evaluation(self, split, examples):
            yield self.batch(len(split), 10**6)

    return Parity()


def unsaved(model, recipe):
    """An optimizer whose state no checkpoint can hold."""
    import torch

    class Unsaved(torch.optim.SGD):
        def step(self):
            self.state[self.param_groups[0]["params"][0]]["notes"] = {"a": object()}

    return Unsaved(model.parameters(), lr=recipe.learning_rate)


def lion(model, recipe):
    from pytorch_optimizer import Lion

    return Lion(model.parameters(), lr=recipe.learning_rate)


def soap(model, recipe):
    """Its state has lists of matrices."""
    from pytorch_optimizer import SOAP

    return SOAP(model.parameters(), lr=recipe.learning_rate)


def prodigy(model, recipe):
    """Its groups share tensors."""
    from pytorch_optimizer import Prodigy

    from experiments.training.optim import groups

    return Prodigy(groups(model, recipe), lr=1.0)


ABLATION = None
'''
FIELDS = {"optimizer": "signs", "schedule": "steps_down", "loss": "confident", "task": "parity"}


@pytest.fixture
def own(spec: RunSpec, ablation_file: Callable[[str], Path]) -> Callable[..., RunSpec]:
    """A function that returns the run with functions of one's own in some fields of its recipe."""
    module = f"experiments.ablations.{ablation_file(OWN).stem}"

    def changed(**functions: str) -> RunSpec:
        references = {field: f"{module}:{name}" for field, name in functions.items()}
        recipe = dataclasses.replace(spec.recipe, steps=20, eval_every=5, **references)
        return dataclasses.replace(spec, recipe=recipe)

    return changed


@pytest.mark.parametrize("field", FIELDS)
def test_a_run_with_a_function_of_ones_own_trains_and_is_another_run(
    own: Callable[..., RunSpec], corpus: Corpus, field: str
):
    mine, usual = own(**{field: FIELDS[field]}), own()
    assert mine.run_id != usual.run_id
    assert mine.custom == {field: getattr(mine.recipe, field)}
    assert RunSpec.from_json(mine.to_json()).run_id == mine.run_id
    (summary, points), (_, others) = train(mine, corpus), train(usual, corpus)
    assert summary["status"] == "done", summary["reason"]
    assert summary["val_loss"] > 0
    assert [point["loss"] for point in points] != [point["loss"] for point in others]


def test_all_functions_at_once_go_on_bit_for_bit_from_a_checkpoint(
    own: Callable[..., RunSpec], corpus: Corpus, tmp_path: Path
):
    resumed = goes_on_bit_for_bit(own(**FIELDS), corpus, tmp_path)
    assert resumed.optimizer.param_groups[0]["pair"] == (1, 2.0)


@pytest.mark.parametrize("name", ["lion", "soap", "prodigy"])
def test_optimizers_of_a_package_go_on_bit_for_bit_from_a_checkpoint(
    name: str, own: Callable[..., RunSpec], corpus: Corpus, tmp_path: Path
):
    pytest.importorskip("pytorch_optimizer", reason="not installed: make setup EXTRAS=optimizers")
    goes_on_bit_for_bit(own(optimizer=name), corpus, tmp_path)


def goes_on_bit_for_bit(spec: RunSpec, corpus: Corpus, tmp_path: Path) -> TrainingState:
    """Check that a training which goes on from its tenth step ends as one that was not stopped.
    Returns the state at its end.
    """
    device = torch.device("cpu")
    task = build_task(spec, corpus, device)
    whole = TrainingState.initial(spec, device)
    list(fit(spec, task, whole))
    checkpoint = Checkpoint(tmp_path, every=0.0)
    half, resumed = (TrainingState.initial(spec, device) for _ in range(2))
    for event in fit(spec, task, half):
        if event.step == 10:
            checkpoint.save(half, {})
            break
    checkpoint.restore(checkpoint_facts(tmp_path), resumed)
    assert resumed.step == 10
    list(fit(spec, task, resumed))
    for before, after in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(before, after)
    return resumed


def checkpoint_facts(folder: Path) -> dict:
    from experiments.files import read_sealed

    return read_sealed(folder / "checkpoint.json")


def test_a_state_that_no_checkpoint_holds_is_refused_by_name(
    own: Callable[..., RunSpec], corpus: Corpus, tmp_path: Path
):
    spec, device = own(optimizer="unsaved"), torch.device("cpu")
    state = TrainingState.initial(spec, device)
    list(fit(spec, build_task(spec, corpus, device), state))
    with pytest.raises(
        TypeError, match=r"the optimizer's '.*\.notes' is a dict: a checkpoint holds"
    ):
        Checkpoint(tmp_path, every=0.0).save(state, {})


def test_a_schedule_of_ones_own_follows_the_warm_up(own: Callable[..., RunSpec]):
    recipe = dataclasses.replace(own(schedule="steps_down").recipe, warmup_steps=4)
    rates = [learning_rate_at(step, recipe) / recipe.learning_rate for step in range(20)]
    assert rates == pytest.approx([0.25, 0.5, 0.75, 1.0] + [1.0] * 6 + [0.1] * 10)


def test_evaluations_stay_cross_entropy_with_a_loss_of_ones_own(
    own: Callable[..., RunSpec], corpus: Corpus
):
    """Before the first step the two networks are equal, and so are their evaluations."""
    first = [train(own(**functions), corpus)[1][0] for functions in ({"loss": "confident"}, {})]
    assert first[0]["split"] == "val"
    assert first[0]["loss"] == first[1]["loss"]


def test_a_task_of_ones_own_has_the_vocabulary_that_its_variant_sets(
    own: Callable[..., RunSpec], config: ModelConfig
):
    task = own(task="parity").recipe.task
    for changes, size in (({}, config.vocab_size), ({"model.vocab_size": 2}, 2)):
        model, recipe = Variant("own", {"recipe.task": task} | changes).applied_to(
            config, own().recipe
        )
        assert (model.vocab_size, recipe.task) == (size, task)
        assert guess_loss(task, model.vocab_size, None) == pytest.approx(
            torch.tensor(float(size)).log().item()
        )
