"""The state that a training advances, and the events that it yields."""

from dataclasses import dataclass

import torch
from torch import nn

from experiments.spec import RunSpec
from experiments.training.optim import build_optimizer
from model import build


@dataclass
class TrainingState:
    """A network and its optimizer, after `step` steps and `seconds` seconds of training.

    `seconds` count training steps alone. Compilation and evaluation have seconds of their own, and
    whatever handles the events is in none of them.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    step: int = 0
    seconds: float = 0.0
    compile_seconds: float = 0.0
    evaluation_seconds: float = 0.0

    @classmethod
    def initial(cls, spec: RunSpec, device: torch.device) -> "TrainingState":
        """Seed torch with the run's seed, then build the network and its optimizer."""
        torch.manual_seed(spec.seed)
        model = build(spec.model).to(device)
        return cls(model, build_optimizer(model, spec.recipe))


@dataclass(frozen=True)
class TrainingPoint:
    """Mean training loss and mean gradient norm (before clipping) since the last training point.

    The loss is in nats per target. With label smoothing it is the smoothed loss. The learning rate
    is that of the last step. A network that is counted has neither learning rate nor gradient.
    """

    step: int
    seconds: float
    loss: float
    learning_rate: float | None = None
    gradient_norm: float | None = None


@dataclass(frozen=True)
class Evaluation:
    """Scores on the recipe's `eval_windows` windows of the validation split, as in `Scores`.

    While the event is handled, the network is in evaluation mode and may be probed or saved. The
    handler must not advance torch's random state.
    """

    step: int
    seconds: float
    loss: float
    accuracy: float
    exact_match: float


@dataclass(frozen=True)
class End:
    """The end of a training. `divergence` says why it ended before the recipe's last step."""

    step: int
    seconds: float
    divergence: str = ""


Event = TrainingPoint | Evaluation | End
