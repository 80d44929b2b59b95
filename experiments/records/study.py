"""The facts of a study that its results folder keeps, from which the study is planned again."""

import dataclasses
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.ablation import Ablation
from experiments.catalogue import load_ablations
from experiments.claim import look_number
from experiments.errors import UserError
from experiments.files import DamagedError, read_sealed, write_sealed
from experiments.planning.plan import FIRST_SEED, Plan, plan
from experiments.planning.rates import CorpusFacts
from experiments.planning.seed_counts import SeedCounts
from experiments.profiles import PROFILES, Profile
from experiments.recipe import Precision, Task
from experiments.records.run_folder import RunFolder
from experiments.spec import RunSpec
from model import ModelConfig

if TYPE_CHECKING:  # importing numpy takes long, and listing a study does not need numpy
    from experiments.data.corpus import Corpus

MANIFEST = "manifest.json"  # of a published study


@dataclass(frozen=True, kw_only=True)
class Study:
    """A profile on a corpus, over a number of seeds."""

    profile_name: str
    corpus_name: str
    corpus_hash: str
    vocab_size: int
    tokenizer: str
    corpus_lengths: dict[str, int]  # tokens, by split
    corpus_characters: dict[str, int]
    corpus_bytes: dict[str, int]
    unigram_loss: float
    seeds: int
    fewer_seeds: int
    budgets: list[int]
    precision: Precision
    compiled: bool
    has_genres: bool
    first_seed: int = FIRST_SEED
    looks: int = 1  # number of times that claims were judged, each time with more seeds
    # Numbers of seeds by claim and budget, of claims with more seeds than their ablation.
    added: dict[str, dict[str, int]] = dataclasses.field(default_factory=dict)
    # The numbers in `added` at the first look, where they were replaced by larger ones.
    first_added: dict[str, dict[str, int]] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(
        cls,
        profile: Profile,
        corpus: "Corpus",
        seeds: int | None,
        budgets: Sequence[int] | None = None,
    ) -> "Study":
        """The study of a profile on a corpus.

        `seeds` replaces both numbers of seeds of the profile, and `budgets` its usual budgets.
        """
        return cls(
            profile_name=profile.name,
            corpus_name=corpus.name,
            corpus_hash=corpus.hash,
            vocab_size=len(corpus.vocabulary),
            tokenizer="bpe" if corpus.byte_pairs else "characters",
            corpus_lengths=corpus.lengths,
            corpus_characters=corpus.characters,
            corpus_bytes=corpus.bytes,
            unigram_loss=corpus.unigram_loss,
            seeds=seeds or profile.seeds,
            fewer_seeds=seeds or profile.fewer_seeds,
            budgets=list(budgets or profile.default_budgets),
            precision=profile.recipe.precision,
            compiled=profile.recipe.compiled,
            has_genres=bool(corpus.works),
        )

    @property
    def profile(self) -> Profile:
        """The profile, with the study's precision and compilation."""
        return PROFILES[self.profile_name].with_precision(self.precision, self.compiled)

    @property
    def base(self) -> ModelConfig:
        """The network that the study's variants differ from."""
        return self.profile.base_model(self.vocab_size)

    @property
    def ablations(self) -> dict[str, Ablation]:
        """All ablations by name."""
        return load_ablations()

    def plan(self, results: Path | None, only: list[str] | None = None) -> Plan:
        """Plan the runs of the ablations called `only`, or of all ablations.

        Learning rates are chosen from the trials that are finished in the results folder; without a
        folder, as if the rates in the files were the best.

        Raises:
            UserError: an ablation's file or a variant cannot work.
        """
        without: tuple[Task, ...] = () if self.has_genres else ("genre",)
        return plan(
            self.profile,
            self.ablations,
            CorpusFacts(
                self.vocab_size, self.corpus_hash, self.unigram_loss, self.tokens_per_character()
            ),
            seeds=self.seeds,
            fewer_seeds=self.fewer_seeds,
            budgets=self.budgets,
            score=functools.partial(_validation_loss, results) if results else None,
            only=only,
            without=without,
            added=self.added,
            first_seed=self.first_seed,
        )

    @property
    def seed_counts(self) -> SeedCounts:
        """Numbers of seeds of ablations, variants and claims."""
        return SeedCounts(self.seeds, self.fewer_seeds, self.added, self.budgets)

    def look(self, claim: str, budget: int | None, usual: int) -> int:
        """The number of the look at a claim at a budget, from 1 on.

        `usual` is the number of seeds of the claim's ablation there. A claim that was judged with
        the fewer seeds of `make trends` before its ablation was trained there is at a further look.
        """
        added = self.added.get(claim, {}).get(str(budget), 0)
        first = self.first_added.get(claim, {}).get(str(budget), added) if added else 0
        return look_number(added, self.looks) + (0 < first < usual)

    @property
    def token(self) -> str:
        """The word for a token in texts: "character" or "byte pair"."""
        return "byte pair" if self.tokenizer == "bpe" else "character"

    def tokens_per_character(self, split: str = "val") -> float:
        """Tokens per character of a split: 1 where tokens are characters."""
        return self.corpus_lengths[split] / max(1, self.corpus_characters[split])

    def tokens_per_byte(self) -> float:
        """Tokens per UTF-8 byte of the validation split."""
        return self.corpus_lengths["val"] / max(1, self.corpus_bytes["val"])

    def save(self, results: Path) -> None:
        """Write `study.json` into the results folder."""
        write_sealed(results / "study.json", dataclasses.asdict(self))

    @classmethod
    def load(cls, results: Path) -> "Study":
        """Read what `save` wrote.

        Raises:
            UserError: the file is missing, damaged, or of another version.
        """
        file = results / "study.json"
        if not file.exists():
            raise UserError(f"there are no results in {results}: run `make all` first")
        try:
            facts = read_sealed(file)
        except DamagedError:
            raise UserError(f"{file} is damaged, or of another version: run `make all`") from None
        # A field with a default may be missing: a study from before the field was added.
        blank = {"first_seed": FIRST_SEED, "first_added": {}}
        if set(blank | facts) != {field.name for field in dataclasses.fields(cls)}:
            raise UserError(f"{file} is of another version: run `make all`")
        return cls(**facts)


def _validation_loss(results: Path, spec: RunSpec) -> float | None:
    """Validation loss of a run: infinite if the run diverged, None if there is no result."""
    summary = RunFolder(results, spec.run_id).summary() or {}
    if summary.get("status") == "diverged":
        return math.inf
    return summary.get("val_loss")
