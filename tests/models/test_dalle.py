"""DALL-E's transformer: its two vocabularies, its cache, its guidance, and that it learns."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from oracles import awake, first_stage
from torch import Tensor

from genlab.config.base import build
from genlab.config.families import build_family
from genlab.config.families.dalle import DALLEConfig
from genlab.config.families.dvae import DVAEConfig
from genlab.config.families.vae import VAEConfig
from genlab.config.samplers import TokenSampler
from genlab.config.samplers.prior import PriorSampler
from genlab.data.tokenizer import END, PAD
from genlab.errors import ConfigError, GenLabError
from genlab.io.arrays import read_array
from genlab.models.base import Batch, Facts, Words, build_model
from genlab.models.capabilities import DrawOptions
from genlab.models.dalle import DALLE
from genlab.models.dvae import DVAE
from genlab.nn.transformer import draw_token, keep_likeliest
from genlab.processes.noise import SampleNoise
from genlab.results.layout import StudyFolder
from genlab.sampling.draw import draw
from genlab.workflow.sample import sample
from genlab.workflow.train import train

WORDS = Words(vocabulary=7, length=4)


def make_dalle(shape: tuple[int, int, int] = (1, 8, 12), codes: int = 5, **changes: Any) -> DALLE:
    """An awake one over captions of four tokens and grids of 2 x 3 codes."""
    config = DALLEConfig(width=16, layers=2, heads=2, dropout=0.5).model_copy(update=changes)
    return awake(DALLE(config, shape, 10, WORDS, first_stage(shape, codes)))


def captions(n: int) -> Tensor:
    """Random captions int64 [n, L]: one to three words, END, then PAD."""
    tokens = torch.randint(2, WORDS.vocabulary, (n, WORDS.length))
    ends = torch.randint(1, WORDS.length, (n,))[:, None]
    place = torch.arange(WORDS.length)
    return torch.where(place < ends, tokens, torch.where(place == ends, END, PAD))


def batch_of(images: Tensor, tokens: Tensor) -> Batch:
    return Batch(images, torch.zeros(len(images), dtype=torch.int64), tokens=tokens)


def all_grids(codes: int, rows: int, columns: int) -> Tensor:
    """Every grid of codes, int64 [codes ** (rows columns), rows, columns]."""
    flat = torch.tensor(list(itertools.product(range(codes), repeat=rows * columns)))
    return flat.reshape(-1, rows, columns)


@torch.no_grad()
def test_probabilities_of_all_grids_given_a_caption_sum_to_one() -> None:
    """Of two codes in a grid of 2 x 2, all 16; for several captions and for none."""
    dalle, grids = make_dalle((1, 8, 8), codes=2), all_grids(2, 2, 2)
    for tokens in (*captions(4), dalle.empty_captions(1)[0]):
        _, nats = dalle.nats(tokens.expand(16, -1), grids)
        assert float((-nats.sum(dim=1)).exp().sum()) == pytest.approx(1, abs=1e-5)  # float32


@torch.no_grad()
def test_masked_tokens_have_probability_zero() -> None:
    """Two heads say what one softmax over both vocabularies does, with the other one masked."""
    dalle, tokens, grids = make_dalle(), captions(6), torch.randint(5, (6, 2, 3))
    text, image = dalle.logits(tokens, grids)
    before = torch.cat([tokens, 7 + grids.flatten(1)[:, :-1]], dim=1)
    states = dalle.states(F.pad(before, (1, 0), value=dalle.begin))
    joint = torch.cat([dalle.text_head(states), dalle.head(states)], dim=2)  # [6, 4 + 6, 7 + 5]
    allowed = (torch.arange(10)[:, None] < 4) == (torch.arange(12) < 7)
    p = joint.masked_fill(~allowed, -math.inf).softmax(dim=2)
    assert bool((p[:, ~allowed] == 0).all())
    torch.testing.assert_close(p[:, :4, :7], text.softmax(dim=2), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(p[:, 4:, 7:], image.softmax(dim=2), rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_a_token_is_predicted_from_those_before_it() -> None:
    """Token j changed: the nats of those before it keep every bit, its own and later ones don't."""
    dalle, tokens = make_dalle(), torch.randint(2, 7, (4, 4))
    grids = torch.randint(5, (4, 2, 3))
    before = torch.cat(dalle.nats(tokens, grids), dim=1)
    for j in range(10):
        text, codes = tokens.clone(), grids.flatten(1).clone()
        if j < 4:
            text[:, j] = 2 + (text[:, j] - 1) % 5
        else:
            codes[:, j - 4] = (codes[:, j - 4] + 1) % 5
        after = torch.cat(dalle.nats(text, codes.reshape(4, 2, 3)), dim=1)
        assert torch.equal(before[:, :j], after[:, :j])
        assert not (before[:, j:] == after[:, j:]).all(dim=0).any()


@torch.no_grad()
def test_the_loss_weighs_text_and_image_and_counts_no_padding() -> None:
    """(text + 7 image) / 8, means over the tokens of captions up to END, and over codes."""
    dalle, images, tokens = make_dalle(), torch.rand(5, 1, 8, 12), captions(5)
    values = dalle(batch_of(images, tokens))
    text, image = dalle.logits(tokens, dalle.first_stage.encode_indices(images))
    nats = [
        -float(text[i, j].log_softmax(dim=0)[tokens[i, j]])
        for i in range(5)
        for j in range(tokens[i].tolist().index(END) + 1)
    ]
    assert float(values["text"]) == pytest.approx(sum(nats) / len(nats), rel=1e-5)
    codes = dalle.first_stage.encode_indices(images).flatten()
    expected = F.cross_entropy(image.flatten(0, 1), codes)
    torch.testing.assert_close(values["image"], expected, rtol=1e-5, atol=0)
    loss = (values["text"] + 7 * values["image"]) / 8
    torch.testing.assert_close(values["loss"], loss, rtol=1e-6, atol=0)
    assert float(values["code_bits"]) == pytest.approx(float(expected) * 6 / 96 / math.log(2))


@torch.no_grad()
def test_captions_are_left_away_as_often_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """In training alone; an image without one is shown END at the first place, then PAD."""
    dalle, n = make_dalle((1, 4, 4), caption_dropout=0.3), 2000
    recorded: list[Tensor] = []
    nats = dalle.nats
    monkeypatch.setattr(dalle, "nats", lambda t, i: [recorded.append(t), nats(t, i)][1])
    batch = batch_of(torch.rand(n, 1, 4, 4), captions(n))
    for mode in (True, False):
        dalle.train(mode)(batch)
    assert batch.tokens is not None
    left_away = (recorded[0] == torch.tensor([END, PAD, PAD, PAD])).all(dim=1)
    assert torch.equal(recorded[0][~left_away], batch.tokens[~left_away])
    # Five standard errors of a frequency
    assert abs(float(left_away.float().mean()) - 0.3) < 5 * (0.3 * 0.7 / n) ** 0.5
    assert torch.equal(recorded[1], batch.tokens)


def drawn_by_full_passes(
    dalle: DALLE, noise: SampleNoise, tokens: Tensor, guidance: float, top_k: int, top_p: float
) -> Tensor:
    """Codes int64 [B, h w] drawn without a cache: all of the sequence anew for every code."""
    u, codes = noise.uniform(6), torch.zeros(len(noise), 6, dtype=torch.int64)
    exact = dalle.double()
    for i in range(6):
        # Codes from i on are not known yet, and nothing that is looked at depends on them.
        logits = []
        for text in (tokens, dalle.empty_captions(len(tokens))):
            logits.append(exact_logits(exact, text, codes)[:, i])
        mixed = logits[1] + guidance * (logits[0] - logits[1])
        codes[:, i] = draw_token(keep_likeliest(mixed / 0.9, top_k, top_p), u[:, i])
    return codes


def exact_logits(dalle: DALLE, tokens: Tensor, codes: Tensor) -> Tensor:
    """float64 logits of all codes [B, h w, K]; `logits` rounds them to float32."""
    before = torch.cat([tokens, 7 + codes[:, :-1]], dim=1)
    out: Tensor = dalle.head(dalle.states(F.pad(before, (1, 0), value=dalle.begin))[:, 4:])
    return out


@torch.no_grad()
@pytest.mark.parametrize("guidance", [0.0, 0.5, 1.0, 3.0])
def test_drawing_with_the_cache_is_drawing_by_full_passes(guidance: float) -> None:
    """Token for token; guidance 0 and 1 among them, which take one evaluation and not two."""
    dalle, tokens = make_dalle(), captions(40)
    codes = dalle.draw_codes(SampleNoise(3, range(40)), DrawOptions(tokens, 0.9, 4, 0.95, guidance))
    expected = drawn_by_full_passes(dalle, SampleNoise(3, range(40)), tokens, guidance, 4, 0.95)
    assert torch.equal(codes.flatten(1), expected)


@torch.no_grad()
def test_guidance_goes_from_no_caption_to_the_caption_and_beyond() -> None:
    """0 is the model without a caption, 1 with it; what it favours becomes likelier with more."""
    dalle, tokens, n = make_dalle(), captions(1).expand(400, -1), 400

    def first_codes(tokens: Tensor | None, guidance: float) -> Tensor:
        sampled = dalle.draw_codes(SampleNoise(0, range(n)), DrawOptions(tokens, guidance=guidance))
        return sampled[:, 0, 0]

    assert torch.equal(first_codes(tokens, 0.0), first_codes(None, 1.0))
    assert torch.equal(first_codes(tokens, 0.0), first_codes(dalle.empty_captions(n), 1.0))
    grid = torch.zeros(1, 2, 3, dtype=torch.int64)
    to, away = (
        dalle.logits(text, grid)[1][0, 0].double() for text in (tokens[:1], dalle.empty_captions(1))
    )
    for guidance in (0.0, 1.0, 2.5):
        p = (away + guidance * (to - away)).softmax(dim=0)
        frequency = first_codes(tokens, guidance).bincount(minlength=5) / n
        # Five standard errors of a frequency, and one draw where p is nearly 0
        assert bool(((frequency - p).abs() < 5 * (p / n).sqrt() + 1 / n).all())


@torch.no_grad()
def test_a_sample_does_not_know_its_batch() -> None:
    """Drawn alone, by sevens, or all at once, each for a caption of its own."""
    dalle, tokens = make_dalle(), captions(40)

    def sampled(which: range) -> Tensor:
        own_captions = tokens[which.start : which.stop]
        return dalle.generate(
            SampleNoise(1, which), DrawOptions(own_captions, top_p=0.9, guidance=2.0)
        )

    whole = sampled(range(40))
    assert whole.shape == (40, 1, 8, 12) and 0 <= float(whole.min()) < float(whole.max()) <= 1
    for size in (1, 7):
        parts = [sampled(range(i, min(i + size, 40))) for i in range(0, 40, size)]
        # The same codes; another batch size may take another order of summation in the decoder.
        torch.testing.assert_close(torch.cat(parts), whole, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_the_bound_is_that_of_images_without_a_caption() -> None:
    """log p(y, c(y)), below the exact log p(y) by the sum over all 16 grids of two codes."""
    dalle, grids = make_dalle((1, 8, 8), codes=2), all_grids(2, 2, 2)
    y = torch.rand(4, 1, 8, 8)
    _, nats = dalle.nats(dalle.empty_captions(16), grids)
    joint = torch.stack(
        [dalle.first_stage.log_p(image.expand(16, -1, -1, -1), grids) for image in y]
    ).double() - nats.sum(dim=1)  # [4, 16]
    codes = dalle.first_stage.encode_indices((256 * y).floor() / 255).flatten(1)
    number = (codes * 2 ** torch.arange(3, -1, -1)).sum(dim=1)
    bound = dalle.log_density(y, "elbo", 1).double()
    # float32 sums of size 1000
    torch.testing.assert_close(bound, joint[torch.arange(4), number], rtol=1e-5, atol=1e-2)
    assert bool((bound <= joint.logsumexp(dim=1) + 1e-2).all())


def test_it_learns_32_captions_and_their_grids_by_heart() -> None:
    """Codes at a loss of next to nothing; the likeliest codes of each caption are its own."""
    torch.manual_seed(0)
    pairs = torch.tensor(list(itertools.product(range(2, 7), repeat=3)))[torch.randperm(125)[:32]]
    tokens = F.pad(pairs, (0, 1), value=END)
    first = first_stage((1, 8, 12), 5)
    config = DALLEConfig(width=32, layers=2, heads=4)
    # In evaluation mode, so that no caption is left away
    dalle = DALLE(config, (1, 8, 12), 10, WORDS, first).eval()
    dalle.training_codes = torch.randint(5, (32, 2, 3), dtype=torch.int32)
    batch = batch_of(torch.zeros(32, 1, 8, 12), tokens)._replace(indices=torch.arange(32))
    optimizer = torch.optim.Adam([w for w in dalle.parameters() if w.requires_grad], lr=3e-3)
    for _ in range(200):
        values = dalle(batch)
        optimizer.zero_grad()
        values["loss"].backward()
        optimizer.step()
    assert float(values["image"].detach()) < 0.01  # of log 5 = 1.6
    # What is to be learned of the captions, each as frequent: log 32 nats, of 4 tokens each
    assert float(values["text"].detach()) == pytest.approx(math.log(32) / 4, abs=0.05)
    with torch.no_grad():
        codes = dalle.draw_codes(SampleNoise(0, range(32)), DrawOptions(tokens, top_k=1))
    assert torch.equal(codes.int(), dalle.training_codes)


@torch.no_grad()
def test_a_sampler_s_settings_reach_the_model() -> None:
    """And a sampler that knows none of them draws from it as well; guidance takes two passes."""
    dalle, tokens = make_dalle(), captions(9)
    sampler = TokenSampler(temperature=0.8, top_k=3, top_p=0.9, guidance=2.0)
    noise = [SampleNoise(0, range(9)) for _ in range(4)]
    drawing = draw(dalle, sampler, noise[0], tokens)
    assert torch.equal(
        drawing.images, dalle.generate(noise[1], DrawOptions(tokens, 0.8, 3, 0.9, 2.0))
    )
    assert drawing.evaluations == 12
    plain = draw(dalle, PriorSampler(temperature=0.5), noise[2], tokens)
    assert torch.equal(plain.images, dalle.generate(noise[3], DrawOptions(tokens, 0.5)))
    assert plain.evaluations == 6
    vae = build_model(VAEConfig(), Facts((1, 8, 8), 10), 0)
    with pytest.raises(GenLabError, match="'tokens' can't draw from VAE: the model draws no token"):
        draw(vae, sampler, noise[0])


@torch.no_grad()
def test_it_stands_on_a_dvae_as_well() -> None:
    first = awake(DVAE(DVAEConfig(codes=5, latent=3, channels=4), (1, 8, 12), 10))
    dalle = awake(DALLE(make_dalle().config, (1, 8, 12), 10, WORDS, first))
    images = dalle.generate(SampleNoise(0, range(3)), DrawOptions(captions(3), guidance=2.0))
    assert images.shape == (3, 1, 8, 12)
    assert bool(dalle.log_density(torch.rand(3, 1, 8, 12), "elbo", 1).isfinite().all())
    assert DALLEConfig(first_stage="mine").first_stage_problems(DVAEConfig()) == []


def test_only_a_discrete_autoencoder_has_codes() -> None:
    (problem,) = DALLEConfig(first_stage="mine").first_stage_problems(VAEConfig())
    assert problem.startswith("first_stage: 'mine' is of family vae, which has no codes")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"image_weight": -1}, "image_weight"),
        ({"caption_dropout": 0}, "caption_dropout"),
        ({"caption_dropout": 1}, "caption_dropout"),
        ({"width": 10, "heads": 4}, "heads"),
    ],
)
def test_bad_values_are_refused_by_name(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(DALLEConfig, {"family": "dalle", **values}, "here")


def test_it_is_trained_and_drawn_from_by_the_stages(
    tiny_study: Callable[..., StudyFolder],
) -> None:
    """Captions of the data set, those asked for in sampling, a first stage of either family."""
    small = {"width": 8, "layers": 1, "heads": 2}
    dvae = {"preset": "dvae", "codes": 8, "latent": 4, "channels": 4}
    at = tiny_study(
        models=[dvae, {"preset": "dalle", "first_stage": "dvae", **small}, "ddpm"],
        samplers={"guided": {"sampler": "tokens", "guidance": 2.0, "top_p": 0.9}},
    )
    for model in ("dvae", "dalle"):
        train(at.run("stripes", model, 0), cpu=True)
    row = at.run("stripes", "dalle", 0).samples("guided")
    sample(row, cpu=True)
    assert read_array(row.samples).shape == (32, 1, 8, 8)
    assert build_family({"family": "dalle"}, "here").takes_prompts
