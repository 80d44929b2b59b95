"""What a results folder is a study of: the few facts that plan it again, without the corpus."""

import dataclasses
import functools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.catalogue import load_ablations
from experiments.errors import UserError
from experiments.files import DamagedError, read_sealed, write_sealed
from experiments.plan import Plan, plan
from experiments.profiles import PROFILES, Profile
from experiments.records.run_folder import RunFolder
from experiments.spec import Precision, RunSpec, Task
from model import ModelConfig

if TYPE_CHECKING:  # numpy takes long to import, and listing a study does not need it
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
    precision: Precision
    compiled: bool
    has_genres: bool

    @classmethod
    def of(cls, profile: Profile, corpus: "Corpus", seeds: int | None) -> "Study":
        """The study of a corpus that is at hand; with `seeds`, as many for every ablation."""
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
            precision=profile.recipe.precision,
            compiled=profile.recipe.compiled,
            has_genres=bool(corpus.works),
        )

    @property
    def profile(self) -> Profile:
        """The profile that the study runs."""
        return PROFILES[self.profile_name].with_precision(self.precision, self.compiled)

    @property
    def base(self) -> ModelConfig:
        """The network that the study's variants differ from."""
        return self.profile.base_model(self.vocab_size)

    def plan(self, results: Path, only: list[str] | None = None) -> Plan:
        """The plan for the ablation files as they now are, of all ablations or of those named, as
        far as the learning rates tried in the results folder decide it.

        Raises:
            UserError: an ablation is not known, or its variants cannot work.
        """
        without: tuple[Task, ...] = () if self.has_genres else ("genre",)
        ablations = load_ablations()
        chosen = {name: ablations[name] for name in only} if only else ablations
        return plan(
            self.profile,
            chosen,
            vocab_size=self.vocab_size,
            corpus_hash=self.corpus_hash,
            seeds=self.seeds,
            fewer_seeds=self.fewer_seeds,
            score=functools.partial(_validation_loss, results),
            without=without,
        )

    @property
    def token(self) -> str:
        """What a token is, for people."""
        return "byte pair" if self.tokenizer == "bpe" else "character"

    def tokens_per_character(self, split: str = "val") -> float:
        """Of a split: 1 where tokens are characters."""
        return self.corpus_lengths[split] / max(1, self.corpus_characters[split])

    def tokens_per_byte(self) -> float:
        """Of the validation split, in UTF-8."""
        return self.corpus_lengths["val"] / max(1, self.corpus_bytes["val"])

    def save(self, results: Path) -> None:
        """Write `study.json` into the results folder."""
        write_sealed(results / "study.json", dataclasses.asdict(self))

    @classmethod
    def load(cls, results: Path) -> "Study":
        """Read what `save` wrote.

        Raises:
            UserError: nothing has been run there, or by another version, or its file is damaged.
        """
        file = results / "study.json"
        if not file.exists():
            raise UserError(f"there are no results in {results}: run `make all` first")
        try:
            facts = read_sealed(file)
        except DamagedError:
            raise UserError(f"{file} is damaged, or of another version: run `make all`") from None
        if set(facts) != {field.name for field in dataclasses.fields(cls)}:
            raise UserError(f"{file} is of another version: run `make all`")
        return cls(**facts)


def _validation_loss(results: Path, spec: RunSpec) -> float | None:
    """A finished run's; infinite where it diverged, None where there is no result."""
    summary = RunFolder(results, spec.run_id).summary() or {}
    if summary.get("status") == "diverged":
        return math.inf
    return summary.get("val_loss")
