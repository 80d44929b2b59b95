"""Every option of the command line, declared once, in groups that commands share.

A command names the groups that it uses in its signature, and refuses every other option. All
options but the folder of corpora can also be set as environment variables.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args, get_type_hints

from cyclopts import Parameter
from cyclopts.validators import Number

from experiments.errors import UserError
from experiments.planning.plan import FIRST_SEED
from experiments.planning.tuning import TUNING_SEEDS
from experiments.profiles import PROFILES, Profile
from experiments.recipe import Precision
from experiments.running.devices import resolve_device, resolve_precision

if TYPE_CHECKING:  # numpy takes long to import, and few commands need it
    from experiments.data.corpus import Corpus
    from experiments.running.executor import Executor

_VOCAB_SIZE = 1024  # of byte pairs, by default
_POSITIVE = Number(gte=1)
_FINITE = Number(gt=0, lt=math.inf)

# Options that some commands take without the rest of a group.
ProfileName = Annotated[
    Literal["auto", "smoke", "cpu", "gpu"],
    Parameter(env_var="PROFILE", help="Size of the study; auto: gpu with CUDA, else cpu."),
]
Device = Annotated[
    Literal["auto", "cuda", "mps", "cpu"],
    Parameter(env_var="DEVICE", help="Device to train on; auto: cuda where present, else cpu."),
]
PrecisionName = Annotated[
    Literal["auto", Precision],
    Parameter(
        env_var="PRECISION",
        help="Precision of training; auto: bf16 where the device has instructions for it.",
    ),
]
Seeds = Annotated[
    int | None,
    Parameter(
        env_var="SEEDS",
        validator=Number(gte=1, lte=TUNING_SEEDS[0] - FIRST_SEED),
        help="Number of seeds; by default the profile decides.",
    ),
]
Budgets = Annotated[
    str | None,
    Parameter(
        env_var="BUDGETS",
        help="Budgets to train at, as in 1,4: multiples of the profile's steps. By default those of"
        " the study that is there, or the profile's.",
    ),
]
Jobs = Annotated[
    int | None,
    Parameter(
        env_var="JOBS",
        validator=_POSITIVE,
        help="Runs trained at the same time; by default the machine decides.",
    ),
]
Results = Annotated[Path, Parameter(env_var="RESULTS", help="Folder for results.")]
Data = Annotated[Path, Parameter(help="Folder for corpora.")]
# Options of a single command.
All = Annotated[bool, Parameter(env_var="ALL", negative="", help="Train all finished runs again.")]
Sample = Annotated[
    int, Parameter(env_var="SAMPLE", validator=_POSITIVE, help="Number of runs, drawn at random.")
]
Reference = Annotated[
    bool, Parameter(env_var="REFERENCE", negative="", help="The published results, not your own.")
]
NanoGPT = Annotated[
    Path | None, Parameter(env_var="NANOGPT", help="Checkout of nanoGPT, to compare with it.")
]
Tasks = Annotated[
    int, Parameter(env_var="TASKS", validator=_POSITIVE, help="Tasks that share the runs.")
]
Minutes = Annotated[int, Parameter(env_var="MINUTES", validator=_POSITIVE, help="Of each task.")]
Batch = Annotated[Literal["slurm", "local"], Parameter(env_var="BATCH", help="Starts the tasks.")]
Slurm = Annotated[str, Parameter(env_var="SLURM", help="For sbatch: partition=gpu,gres=gpu:1")]
Hours = Annotated[
    float | None,
    Parameter(env_var="HOURS", validator=_FINITE, help="Estimated hours for further seeds."),
]
AblationName = Annotated[str, Parameter(env_var="NAME", help="Name of the new ablation.")]
AblationKind = Annotated[str, Parameter(env_var="KIND", help="Kind of part that it brings.")]
AblationShown = Annotated[str, Parameter(env_var="ABLATION", help="Name of the ablation.")]

RunsFile = Annotated[Path | None, Parameter(env_var="RUNS", help="A table, or a tracker's folder.")]
ClaimsFile = Annotated[Path | None, Parameter(env_var="CLAIMS", help="Python file with CLAIMS.")]
AblationFolder = Annotated[
    Path | None, Parameter(env_var="ABLATIONS", help="Folder of your own ablations.")
]
PageFile = Annotated[Path | None, Parameter(env_var="PAGE", help="Page to write, as .html.")]
Looks = Annotated[
    str,
    Parameter(
        env_var="LOOKS",
        help="Planned numbers of seeds, as in 8,12,20: with another number nothing is decided.",
    ),
]
Require = Annotated[
    Literal["supported", "negligible", "reversed"] | None,
    Parameter(env_var="REQUIRE", help="The verdict without which the exit status is 1."),
]
AsJson = Annotated[
    bool, Parameter(name="--json", env_var="JSON", negative="", help="Print the verdicts as JSON.")
]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class StudyOptions:
    """Which study: its profile, its device and the folder of its results."""

    profile: ProfileName = "auto"
    device: Device = "auto"
    results: Results = Path("results")

    @property
    def local_device(self) -> str:
        """The device on this machine: "cuda", "mps" or "cpu".

        Raises:
            UserError: this machine has no such device.
        """
        return resolve_device(self.device)

    @property
    def local_profile(self) -> Profile:
        """The profile that is named, or for "auto" the one for the device."""
        if self.profile == "auto" and self.device == "auto":
            return self.profile_for(self.local_device)
        return self.profile_for(self.device)

    @property
    def folder(self) -> Path:
        """The folder of the profile's results."""
        return self.results / self.local_profile.name

    def profile_for(self, device: str) -> Profile:
        """The profile that is named, or for "auto" the one for `device`."""
        if self.profile != "auto":
            return PROFILES[self.profile]
        return PROFILES["gpu" if device == "cuda" else "cpu"]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class CorpusOptions:
    """Which corpus, and how its text becomes tokens."""

    corpus: Annotated[str, Parameter(env_var="CORPUS")] = "shakespeare"
    """shakespeare, tinyshakespeare, or the path of a text."""
    tokenizer: Annotated[Literal["characters", "bpe"], Parameter(env_var="TOKENIZER")] = (
        "characters"
    )
    """What a token is: a character or a byte pair."""
    vocab_size: Annotated[
        int | None, Parameter(env_var="VOCAB_SIZE", validator=Number(gte=257))
    ] = None
    """Number of tokens of a byte pair encoding, more than the 256 bytes; 1024 by default."""
    data: Data = Path("data")

    @property
    def byte_pairs(self) -> int | None:
        """Vocabulary size of byte pairs, or None for characters.

        Raises:
            UserError: a vocabulary size is given for characters.
        """
        if self.tokenizer == "bpe":
            return self.vocab_size or _VOCAB_SIZE
        if self.vocab_size:
            raise UserError(
                "VOCAB_SIZE is for TOKENIZER=bpe: the text decides how many characters there are"
            )
        return None

    def prepare(self) -> "Corpus":
        """Fetch and tokenize the corpus, unless the data folder has it already."""
        from experiments.data.corpus import prepare_corpus

        return prepare_corpus(self.corpus, self.data, self.byte_pairs)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class SlotOptions:
    """How many runs train at the same time."""

    jobs: Jobs = None
    slots_per_gpu: Annotated[
        int | None, Parameter(env_var="SLOTS_PER_GPU", validator=_POSITIVE)
    ] = None
    """Runs at the same time on each graphics card, 1 by default. Without NVIDIA's MPS they take
    turns, and they are never compared by speed."""

    def per_gpu(self, device: str) -> int:
        """Runs at the same time on each graphics card.

        Raises:
            UserError: the number is given for a device that is not CUDA.
        """
        if self.slots_per_gpu and device != "cuda":
            raise UserError(f"SLOTS_PER_GPU is for the device cuda, and this is {device}: use JOBS")
        return self.slots_per_gpu or 1


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class WorkerOptions(SlotOptions):
    """Where runs train, and how many at the same time."""

    executor: Annotated[Literal["local", "ray"], Parameter(env_var="EXECUTOR")] = "local"
    """Where runs train: in processes of this machine, or on a Ray cluster."""

    def start_executor(self) -> "Executor":
        """Return the executor, ready to run.

        Raises:
            UserError: a package that the executor needs is not installed.
        """
        if self.executor == "local":
            from experiments.running.local import Local

            return Local()
        from experiments.records.provenance import environment

        environment()  # cached now: Ray adds packages of its own to the path
        try:
            from experiments.running.ray import Ray  # takes seconds, and few have it installed
        except ImportError:
            raise UserError("EXECUTOR=ray needs Ray: `make setup EXTRAS=ray`") from None
        return Ray()


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """How a study trains its runs."""

    seeds: Seeds = None
    first_seed: Annotated[
        int | None,
        Parameter(env_var="FIRST_SEED", validator=Number(gte=FIRST_SEED, lt=TUNING_SEEDS[0])),
    ] = None
    """Seed of the first run of a comparison; by default that of the study that is there, or 200."""
    budgets: Budgets = None
    precision: PrecisionName = "auto"
    compile: Annotated[bool, Parameter(env_var="COMPILE", negative="")] = False
    """Train every network through torch.compile."""
    checkpoint_seconds: Annotated[
        float | None,
        Parameter(env_var="CHECKPOINT_SECONDS", validator=Number(gte=0, lt=math.inf)),
    ] = None
    """Least seconds between two checkpoints of a run; by default 60 on cuda and 10 elsewhere."""
    run_timeout: Annotated[float | None, Parameter(env_var="RUN_TIMEOUT", validator=_FINITE)] = None
    """Seconds after which a run counts as hanging and is ended."""
    fail_fast: Annotated[bool, Parameter(env_var="FAIL_FAST", negative="")] = False
    """Stop at the first run that fails."""
    tracker: Annotated[Literal["none", "tensorboard", "wandb"], Parameter(env_var="TRACKER")] = (
        "none"
    )
    """Experiment tracker that shows curves while the study runs."""

    def checkpoint_interval(self, device: str) -> float:
        """Least seconds between two checkpoints of a run. Copying from a card interrupts it."""
        if self.checkpoint_seconds is not None:
            return self.checkpoint_seconds
        return 60.0 if device == "cuda" else 10.0

    def configure(self, profile: Profile, device: str) -> Profile:
        """The profile in the precision for the device, and compiled or not."""
        return profile.with_precision(resolve_precision(self.precision, device), self.compile)


_OF_ONE_COMMAND = (
    *(All, Sample, Reference, NanoGPT, Hours, AblationName, AblationKind, AblationShown),
    *(RunsFile, ClaimsFile, Looks, Require, PageFile, AsJson, AblationFolder),
    *(Tasks, Minutes, Batch, Slurm),
)


def _variables() -> Iterable[str]:
    """Names of the environment variables that set options."""
    groups = (StudyOptions, CorpusOptions, WorkerOptions, TrainingOptions)
    hints = [
        get_type_hints(group, include_extras=True)[field.name]
        for group in groups
        for field in fields(group)
    ]
    for hint in (*hints, *_OF_ONE_COMMAND):
        yield from get_args(hint)[1].env_var or ()


VARIABLES = frozenset(_variables())
