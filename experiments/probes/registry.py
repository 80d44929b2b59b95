"""The probes by name: each takes a trained language model and returns rows for tables.

`experiments.records.schema` describes the columns. The table "measures" takes the single numbers of
probes, which claims can be about. The probe "layers" is in `experiments.probes.layers`: it is taken
at every evaluation, the others after the last step.
"""

from collections.abc import Callable

from experiments.probes.heads import atlas, heads
from experiments.probes.positions import lengths, positions
from experiments.probes.pruning import pruning
from experiments.probes.samples import samples
from experiments.probes.trained_model import ProbeTables, TrainedModel

PROBES: dict[str, Callable[[TrainedModel], ProbeTables]] = {
    "positions": positions,
    "lengths": lengths,
    "heads": heads,
    "pruning": pruning,
    "samples": samples,
    "atlas": atlas,
}
