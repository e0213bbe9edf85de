"""The stage `prompts`: what it measures of a model whose behaviour is known."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from latent_models import captions, make_ldm
from tiny import SIDE, TEST, sheet, stripes
from torch import Tensor

from genlab.config.families import FamilyConfig
from genlab.config.families.vae import VAEConfig
from genlab.config.samplers.ddim import DDIMSampler
from genlab.config.samplers.prior import PriorSampler
from genlab.data.tokenizer import train_tokenizer
from genlab.errors import GenLabError
from genlab.evaluation import prompts as library
from genlab.evaluation.prompt_evaluators import PromptEvaluators
from genlab.evaluation.prompts import Prompts, draw_candidates
from genlab.io.arrays import read_array, write_array
from genlab.io.files import read_json, write_json, write_text
from genlab.models.base import Model
from genlab.models.batches import to_float, to_uint8
from genlab.models.capabilities import DEFAULT_OPTIONS, DrawOptions
from genlab.processes.noise import SampleNoise
from genlab.results.layout import DataFolder, RunFolder, StudyFolder
from genlab.results.spec import PromptsSpec, read_prompts
from genlab.sampling.attention import attention_maps
from genlab.sampling.draw import draw
from genlab.tracking.record import read_records
from genlab.workflow import prompts as stage
from genlab.workflow.evaluators import load_prompt_evaluators
from genlab.workflow.prompts import ATTENTION_SAMPLES, prompts, prompts_of, save_attention
from genlab.workflow.train import train

CPU = torch.device("cpu")
CANDIDATES, PROMPTS, SHOWN = 4, 12, 3
TRAINING = {"images": 2560, "batch_size": 32, "learning_rate": 5e-3}


@pytest.mark.parametrize("with_factors", [True, False])
def test_prompts_are_the_first_captions_of_their_images(with_factors: bool, tmp_path: Path) -> None:
    """Of the first images where factors are known, and else of one of each class in turn."""
    data, labels = DataFolder(tmp_path), np.array([0, 0, 0, 1, 2, 1])
    captions = np.array([[7, 0], [6, 1], [5, 2], [4, 3], [3, 4], [2, 5]])
    columns = np.stack([labels, 10 + np.arange(6)], axis=1)
    write_array(data.labels("test"), labels)
    write_array(data.captions("test"), captions)
    write_array(data.factors("test"), columns if with_factors else columns[:, :0])
    write_array(data.tokens, np.arange(16).reshape(8, 2))
    write_json(data.texts, {"texts": list("abcdefgh"), "known": 8})
    write_json(data.manifest, {"factors": {"digit": 3, "place": 16}} if with_factors else {})
    requested = prompts_of(data, "test", 4, CPU)
    which = [0, 1, 2, 3] if with_factors else [0, 3, 4, 1]
    assert requested.texts == ["abcdefgh"[captions[i, 0]] for i in which]
    assert requested.tokens.tolist() == [
        [2 * captions[i, 0], 2 * captions[i, 0] + 1] for i in which
    ]
    expected = [columns[i].tolist() if with_factors else [labels[i]] for i in which]
    assert requested.factors.tolist() == expected
    assert len(prompts_of(data, "test", 99, CPU).texts) == 6


class EchoConfig(FamilyConfig):
    """A model that draws what the prompt describes, two times in three."""

    family: str = "echo"
    generates: ClassVar = "direct"

    @property
    def takes_prompts(self) -> bool:
        return True


class Echo(Model):
    """Draws stripes of the class of its prompt, or of the other class."""

    def __init__(self, texts: list[str], tokens: Tensor) -> None:
        super().__init__(EchoConfig(), (1, SIDE, SIDE), 2)
        self.tokens = tokens  # [T, L], of the texts
        self.down = torch.tensor(["down" in text for text in texts])
        images, labels = stripes(64, seed=7)
        # Classes stand in the order of the alphabet, and so across (0) before down (1).
        self.pictures = {1 - k: torch.from_numpy(images[labels == k]) for k in (0, 1)}

    def will_draw(self, noise: SampleNoise, tokens: Tensor) -> list[int]:
        """What it will draw: 1 for stripes that run down."""
        texts = (tokens[:, None] == self.tokens).all(dim=2).int().argmax(dim=1)
        wrong = noise.uniform() < 1 / 3
        return [int(down != bad) for down, bad in zip(self.down[texts], wrong, strict=True)]

    def generate(self, noise: SampleNoise, options: DrawOptions = DEFAULT_OPTIONS) -> Tensor:
        assert options.tokens is not None
        classes = self.will_draw(noise, options.tokens)
        images = [self.pictures[k][i % 32] for i, k in zip(noise.indices, classes, strict=True)]
        return to_float(torch.stack(images))[:, None]


@pytest.fixture
def echo_run(
    tiny_study: Callable[..., StudyFolder], monkeypatch: pytest.MonkeyPatch
) -> tuple[RunFolder, Echo]:
    """A run in the place of the tiny VAE's that takes prompts, with CLIP and judge trained."""
    monkeypatch.setattr(VAEConfig, "takes_prompts", True)
    numbers = {"prompts": PROMPTS, "candidates": CANDIDATES, "shown": SHOWN}
    changes = {**numbers, "clip": TRAINING, "judge": TRAINING}
    at = tiny_study(prompts=changes)
    for evaluator in (at.clip("stripes"), at.judge("stripes")):
        train(evaluator, cpu=True)
    run = at.run("stripes", "vae", 0)
    tokens = torch.from_numpy(np.array(read_array(run.data.tokens)))
    echo = Echo(read_json(run.data.texts)["texts"], tokens)
    monkeypatch.setattr(stage, "load_trained", lambda run, device, origin: echo)
    return run, echo


@torch.no_grad()
def retrieval(evaluators: PromptEvaluators, data: DataFolder) -> float:
    """The share of held-out stripes whose caption scores better than the other one."""
    right = []
    images, labels = read_array(data.images("test")), read_array(data.labels("test"))
    first = [int(read_array(data.captions("test"))[labels == k][0, 0]) for k in (0, 1)]
    tokens = torch.from_numpy(np.array(read_array(data.tokens)[first]))
    for image, label in zip(images, labels, strict=True):
        picture = to_float(torch.from_numpy(np.array(image))).expand(2, -1, -1, -1)
        right.append(int(evaluators.clip.score(picture, tokens).argmax()) == label)
    return sum(right) / len(right)


def test_the_measures_are_what_the_model_does(
    echo_run: tuple[RunFolder, Echo], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, echo = echo_run
    prompts(run, cpu=True)
    content = read_json(run.prompts / "prompts.json")
    evaluators = load_prompt_evaluators(run, CPU)
    # Stripes are easy: the judge makes no mistake, so its verdicts on the echo are exact.
    assert content["judge"] == {
        "seen": {"images": TEST, "factors": {"class": 1.0}, "subject": 1.0, "all": 1.0}
    }
    assert content["clip"] == {
        "retrieval": retrieval(evaluators, run.data),
        "captions": 2,
        "images": TEST,
    }
    assert (content["factors"], content["subject"]) == (["class"], ["class"])
    assert (content["sampler"], content["counts"]) == ("prior", [1, 2, 4])
    of = prompts_of(run.data, "test", PROMPTS, CPU)
    assert of.factors[:, 0].tolist() == [0, 1] * (PROMPTS // 2)
    right, scores, kept = [], [], []
    for i, tokens in enumerate(of.tokens):
        which = range(i * CANDIDATES, (i + 1) * CANDIDATES)
        same = tokens.expand(CANDIDATES, -1)
        classes = echo.will_draw(SampleNoise(0, which), same)
        right.append([k == int(of.factors[i, 0]) for k in classes])
        images = echo.generate(SampleNoise(0, which), DrawOptions(same))
        with torch.no_grad():
            scores.append(evaluators.clip.score(images, same).tolist())
        kept.append(int(np.argmax(scores[-1])))
    ((result,), flat) = content["kinds"]["seen"], [one for some in right for one in some]
    assert list(content["kinds"]) == ["seen"]  # no image is held out for being a new combination
    assert result["all"] == result["subject"] == result["factors"]["class"]
    assert 0 < sum(flat) < len(flat)
    assert result["all"][0] == pytest.approx(sum(flat) / len(flat))
    assert result["all"][-1] == pytest.approx(
        np.mean([r[k] for r, k in zip(right, kept, strict=True)])
    )
    assert result["all"] == sorted(result["all"])  # this CLIP knows stripes
    assert result["clip_score"][0] == pytest.approx(100 * np.mean(scores), abs=1e-3)
    assert result["clip_score"][-1] == pytest.approx(100 * np.max(scores, axis=1).mean(), abs=1e-3)
    assert [shown["prompt"] for shown in content["shown"]] == of.texts[:SHOWN]
    assert [shown["right"] for shown in content["shown"]] == [
        right[i][kept[i]] for i in range(SHOWN)
    ]
    pictures = read_array(run.kept)
    for i, k in enumerate(kept[:SHOWN]):
        tokens = of.tokens[i : i + 1]
        place = i * CANDIDATES + k
        image = echo.generate(SampleNoise(0, range(place, place + 1)), DrawOptions(tokens))[0]
        assert np.array_equal(pictures[i], (255 * image).round().to(torch.uint8).numpy())
    assert (run.prompt_figures / "candidates.png").exists()
    metrics = read_records(run)["prompts"]["metrics"]
    assert metrics["final/prompts/seen/subject_best_of_4"] == result["subject"][-1]
    # 48 candidates at once, or in batches of 7, which divide neither them nor a prompt's four.
    spec = read_prompts(run.prompts_config)

    def generate(noise: SampleNoise, tokens: Tensor) -> Tensor:
        return echo.generate(noise, DrawOptions(tokens))

    with torch.no_grad():
        numbers = {"candidates": CANDIDATES, "shown": SHOWN, "seed": spec.seed}
        whole = draw_candidates(generate, evaluators, of, **numbers)
        monkeypatch.setattr(library, "BATCH", 7)
        parts = draw_candidates(generate, evaluators, of, **numbers)
    assert torch.equal(parts.correct, whole.correct) and torch.equal(parts.images, whole.images)
    torch.testing.assert_close(parts.scores, whole.scores, rtol=0, atol=1e-5)  # float32


def test_a_model_that_takes_no_prompts_is_refused(trained_study: StudyFolder) -> None:
    with pytest.raises(GenLabError, match="VAE takes no prompts"):
        prompts(trained_study.run("stripes", "vae", 0), cpu=True)


def test_evaluators_of_another_family_are_refused(trained_study: StudyFolder) -> None:
    """Where a run of another family lies in CLIP's place."""
    clip = trained_study.clip("stripes").folder
    shutil.copytree(trained_study.run("stripes", "vae", 0).folder, clip)
    with pytest.raises(GenLabError, match="holds a VAE, but a CLIP is needed here"):
        load_prompt_evaluators(trained_study.run("stripes", "ddpm", 0), CPU)


@torch.no_grad()
def test_attention_is_that_of_the_candidates_that_are_shown(tmp_path: Path) -> None:
    """A line of samples, and below it one for each token of the prompt, up to its END."""
    run = StudyFolder(tmp_path / "tiny").run("stripes", "ldm", 0)
    model, tokens = make_ldm(), captions(2)
    write_text(run.data.tokenizer, train_tokenizer(["a"], 258))
    requested = {"seen": Prompts(["this", "that"], tokens, tokens[:, :1])}
    sampler = DDIMSampler(steps=2, guidance=3)
    spec = PromptsSpec(seed=5, prompts=2, candidates=9, guidance=(3,), shown=2, sampler=sampler)
    assert save_attention(run, model, sampler, requested, spec) == {"seen": "this"}
    lines = sheet(run.prompt_figures / "attention-seen.png", ATTENTION_SAMPLES)
    assert len(lines) == 1 + 2  # of two tokens and END
    noise, same = SampleNoise(5, range(ATTENTION_SAMPLES)), tokens[:1].expand(ATTENTION_SAMPLES, -1)
    images = draw(model, sampler, noise, same).images
    assert np.array_equal(lines[0], to_uint8(images)[:, 0].numpy())
    _, maps = attention_maps(model, sampler, SampleNoise(5, range(ATTENTION_SAMPLES)), same)
    for line, weights in zip(lines[1:], maps[:, :2].unbind(dim=1), strict=True):
        large = (weights / weights.max()).repeat_interleave(4, 1).repeat_interleave(4, 2)
        assert np.array_equal(line, to_uint8(large).numpy())


def test_a_model_without_a_path_has_no_attention_to_show(tmp_path: Path) -> None:
    run, tokens = StudyFolder(tmp_path).run("stripes", "echo", 0), captions(2)
    requested, sampler = {"seen": Prompts(["this"], tokens, tokens)}, PriorSampler()
    spec = PromptsSpec(seed=0, prompts=1, candidates=1, guidance=(1,), shown=1, sampler=sampler)
    assert save_attention(run, Echo(["down"], tokens), sampler, requested, spec) == {}
    assert not run.prompt_figures.exists()
