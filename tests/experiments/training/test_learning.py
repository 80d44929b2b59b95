"""Learning, end to end: a decoder continues a pattern, an encoder-decoder reverses sequences."""

import dataclasses
from pathlib import Path

import torch

from experiments.data.corpus import prepare_corpus
from experiments.recipe import Recipe
from experiments.spec import RunSpec
from experiments.training.events import TrainingPoint, TrainingState
from experiments.training.loop import train
from experiments.training.loss import IGNORED, cross_entropy
from experiments.training.optim import build_optimizer, learning_rate_at
from experiments.training.tasks import build_task
from model import ModelConfig, build
from model.networks.generation import beam_search, generate

PATTERN = "abacabad"


def test_tiny_decoder_learns_a_repeating_pattern_and_continues_it(
    config: ModelConfig, recipe: Recipe, tmp_path: Path
):
    (tmp_path / "pattern.txt").write_text(PATTERN * 2000)
    corpus = prepare_corpus(str(tmp_path / "pattern.txt"), tmp_path)
    spec = RunSpec(
        model=dataclasses.replace(config, vocab_size=len(corpus.vocabulary)),
        recipe=dataclasses.replace(
            recipe, steps=400, batch_size=16, warmup_steps=20, log_every=16, eval_every=400
        ),
        corpus=corpus.hash,
        seed=0,
    )
    device = torch.device("cpu")
    state = TrainingState.initial(spec, device)
    events = list(train(spec, build_task(spec, corpus, device), state))
    losses = [event.loss for event in events if isinstance(event, TrainingPoint)]
    assert len(losses) >= 20
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])
    ids = torch.tensor([[corpus.vocabulary.index(c) for c in PATTERN]])
    written = generate(state.model.eval(), ids, 40, temperature=0)[0]
    assert "".join(corpus.vocabulary[i] for i in written) == PATTERN * 6


def test_tiny_encoder_decoder_learns_to_reverse_unseen_sequences(recipe: Recipe):
    """Sequences of 3 to 8 digits, padded; the test sequences were not trained on."""
    digits, start, end, pad, longest = 10, 10, 11, 12, 8
    config = ModelConfig(
        family="encoder_decoder",
        vocab_size=13,
        context_length=longest + 2,
        d_model=64,
        n_layers=2,
        n_heads=4,
        d_ff=128,
        position="learned",
    )
    recipe = dataclasses.replace(
        recipe, steps=500, batch_size=64, learning_rate=3e-3, warmup_steps=50
    )

    def draw(n: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Sources, a mask of their real tokens, and targets with start and end tokens."""
        sources = torch.full((n, longest), pad)
        targets = torch.full((n, longest + 2), IGNORED)
        for i, length in enumerate(torch.randint(3, longest + 1, (n,)).tolist()):
            symbols = torch.randint(digits, (length,))
            sources[i, :length] = symbols
            targets[i, : length + 2] = torch.tensor([start, *symbols.flip(0).tolist(), end])
        return sources, sources != pad, targets

    torch.manual_seed(0)
    model = build(config)
    optimizer = build_optimizer(model, recipe)
    for step in range(recipe.steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate_at(step, recipe)
        sources, real, targets = draw(recipe.batch_size)
        given = targets[:, :-1].masked_fill(targets[:, :-1] == IGNORED, pad)
        loss = cross_entropy(model(sources, given, real), targets[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    torch.manual_seed(1)
    sources, real, targets = draw(500)
    expected = targets.masked_fill(targets == IGNORED, end)
    begin = torch.full((500, 1), start)
    for write in (generate, beam_search):
        how = {"temperature": 0} if write is generate else {"beams": 2}
        written = write(
            model, begin, longest + 1, source=sources, source_padding_mask=real, end=end, **how
        )
        assert (written == expected).all(dim=1).float().mean() > 0.99
