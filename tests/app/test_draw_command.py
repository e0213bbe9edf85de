"""`genlab draw`: it keeps the pictures that fit best, and names mistakes."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from tiny import SIDE, make_study

from genlab.app.draw import choose_sampler, find_run, usual_score
from genlab.config.samplers import TokenSampler
from genlab.config.samplers.ddim import DDIMSampler
from genlab.data.tokenizer import Tokenizer
from genlab.errors import GenLabError
from genlab.io.arrays import read_array, write_array
from genlab.io.files import read_json, write_json, write_text
from genlab.models.batches import to_float, to_uint8
from genlab.processes.noise import SampleNoise
from genlab.results.layout import RunFolder, StudyFolder
from genlab.sampling.draw import draw
from genlab.workflow.models import load_trained
from genlab.workflow.train import train

PROMPT = "a picture of down"
NETWORK = {"channels": 8, "multipliers": [1], "attention": [0], "head_channels": 4}
TEXT = {"text": True, "text_width": 8, "text_layers": 1, "text_heads": 2}
MODELS = [
    "vae",
    {"preset": "dalle", "width": 8, "layers": 1, "heads": 2},
    {"preset": "kl_autoencoder", "channels": 4, "latent": 2},
    {"preset": "latent_diffusion", "name": "ldm", "timesteps": 20, "network": NETWORK, **TEXT},
]
SAMPLERS = {
    "tokens": {"sampler": "tokens", "guidance": 2.0},
    "ddim-3": {"sampler": "ddim", "steps": 3},
}


@pytest.fixture(scope="module")
def _trained(tmp_path_factory: pytest.TempPathFactory, tiny_config: Path) -> StudyFolder:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        changes = {"models": MODELS, "samplers": SAMPLERS, "prompts": {"clip": {"images": 256}}}
        at = make_study(tmp_path_factory.mktemp("asked") / "results", tiny_config, changes)
        for model in ("vae", "vqvae", "dalle", "kl_autoencoder", "ldm"):
            train(at.run("stripes", model, 0), cpu=True)
        train(at.clip("stripes"), cpu=True)
    return at


@pytest.fixture
def study(_trained: StudyFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StudyFolder:
    """The tiny study with models that take prompts, under results/ of the current folder."""
    shutil.copytree(_trained.results, tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    return StudyFolder(Path("results") / _trained.folder.name)


def tokens_of(run: RunFolder, n: int) -> torch.Tensor:
    rows = Tokenizer.load(run.data.tokenizer).rows([PROMPT], load_trained(run).facts.words.length)
    return torch.from_numpy(rows).expand(n, -1)


def written(path: Path) -> NDArray[np.uint8]:
    """The one picture [SIDE, SIDE] that a file shows, as large as it is."""
    pixels = np.asarray(Image.open(path))
    assert pixels.shape == (256, 256)
    return pixels[:: 256 // SIDE, :: 256 // SIDE]


@pytest.mark.parametrize(
    ("model", "sampler"),
    [("dalle", TokenSampler(guidance=2.0)), ("ldm", DDIMSampler(steps=3))],
)
def test_the_candidates_that_fit_best_are_kept(
    study: StudyFolder, genlab: Callable[..., Any], model: str, sampler: Any
) -> None:
    """Those of the noise of (seed, 0 ... 19), by the cosine of picture and prompt."""
    run = study.run("stripes", model, 0)
    ended = genlab("draw", PROMPT, "--model", model, "--candidates", 20, "--seed", 3,
                   "--keep", 4, "--out", "best.png")  # fmt: skip
    assert ended.status == 0, ended.err
    tokens, clip = tokens_of(run, 20), load_trained(study.clip("stripes"))
    images = draw(load_trained(run), sampler, SampleNoise(3, range(20)), tokens).images
    pixels = to_uint8(images)
    with torch.no_grad():
        scores: Any = 100 * clip.score(to_float(pixels), tokens)  # type: ignore[operator]
    best = scores.argsort(descending=True, stable=True)[:4].tolist()
    printed = re.findall(r"(-?[\d.]+) \(candidate (\d+)\)", ended.out)
    assert [int(i) for _, i in printed] == best
    # Printed with one decimal.
    assert [float(score) for score, _ in printed] == pytest.approx(scores[best].tolist(), abs=0.051)
    assert f"mean of all 20: {float(scores.mean()):.1f}" in ended.out
    zoom = round(128 / SIDE)
    sheet = np.asarray(Image.open("best.png"))[::zoom, ::zoom]
    tiles = [sheet[y : y + SIDE, x : x + SIDE] for y in (1, SIDE + 2) for x in (1, SIDE + 2)]
    for tile, i in zip(tiles, best, strict=True):
        # Batches of 16 and of 20 may add up in another order: a grey value.
        assert np.abs(tile.astype(int) - pixels[i, 0].numpy()).max() <= 1
    assert "20/20" in ended.err  # the progress


def test_words_of_no_training_caption_are_left_out_and_reported(
    study: StudyFolder, genlab: Callable[..., Any]
) -> None:
    report = "words in no training caption are left out: "
    odd = "a purple PICTURE  of purple down hats"
    ended = genlab("draw", odd, "--candidates", 1, "--out", "odd.png")
    assert f"{report}purple, hats\n" in ended.out
    assert ended.status == 0
    genlab("draw", PROMPT, "--candidates", 1, "--out", "a.png")
    assert Path("odd.png").read_bytes() == Path("a.png").read_bytes()
    ended = genlab("draw", " A picture OF Down", "--candidates", 1, "--out", "b.png")
    assert ended.status == 0
    assert report not in ended.out
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()


def test_image_to_image_at_strength_0_is_the_reconstruction(
    study: StudyFolder, genlab: Callable[..., Any]
) -> None:
    run = study.run("stripes", "ldm", 0)
    pixels = np.array(read_array(run.data.images("test"))[5])
    Image.fromarray(pixels[0]).save("given.png")
    options = ("--model", "ldm", "--candidates", 2, "--image", "given.png")
    ended = genlab("draw", PROMPT, *options, "--strength", 0, "--out", "same.png")
    assert ended.status == 0, ended.err
    first: Any = load_trained(run).first_stage
    with torch.no_grad():
        again = to_uint8(first.reconstruct(to_float(torch.from_numpy(pixels))[None]))[0, 0]
    # float32, and shift and scale of the latents between: a grey value.
    assert np.abs(written(Path("same.png")).astype(int) - again.numpy()).max() <= 1
    genlab("draw", PROMPT, *options, "--strength", 1, "--steps", 5, "--out", "other.png")
    assert np.abs(written(Path("other.png")).astype(int) - again.numpy()).max() > 1


def test_what_the_mask_keeps_is_kept(study: StudyFolder, genlab: Callable[..., Any]) -> None:
    """White is inpainted; the picture is ten times as large and in colour."""
    pixels = np.array(read_array(study.data("stripes").images("test"))[5, 0])
    large = Image.fromarray(pixels).resize((10 * SIDE, 10 * SIDE), Image.Resampling.NEAREST)
    large.convert("RGB").save("given.png")
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[:, : SIDE // 2] = 255
    Image.fromarray(mask).save("mask.png")
    ended = genlab("draw", PROMPT, "--model", "ldm", "--candidates", 2, "--steps", 3,
                   "--image", "given.png", "--mask", "mask.png", "--out", "out.png")  # fmt: skip
    assert ended.status == 0, ended.err
    result = written(Path("out.png")).astype(int)
    kept = np.abs(result - pixels)[:, SIDE // 2 :]
    # What scaling down by Lanczos leaves of sharp edges between pixels.
    assert kept.max() <= 30
    assert np.abs(result - pixels)[:, : SIDE // 2].max() > 30


MISTAKES = {
    "empty": ((" ",), "the prompt is empty; describe the picture in a sentence"),
    "unknown": (("purple hats",), "'purple hats': none of its words describes what training"),
    # "a", "picture" and "of" are in the captions of every image.
    "no content": (("a picture of an elephant",),
                   "'a picture of an elephant': none of its words describes what training images "
                   "show; words that do: across, down$"),
    "long": (("down " * 99,), r"has \d+ tokens, but the model reads at most \d+; use fewer words"),
    "unknown model": ((PROMPT, "--model", "dale"), "no finished run of a model 'dale' .*'dalle'?"),
    "no prompts": ((PROMPT, "--model", "vae"),
                   "/results: the model 'vae' takes no prompts; of the finished runs these do: "
                   "dalle, ldm$"),
    "no prompts in a run": ((PROMPT, "--run", "results/tiny/stripes/vae/seed0"),
                            "vae/seed0: the model 'vae' takes no prompts; .* do: dalle, ldm$"),
    "no such run": ((PROMPT, "--run", "nowhere"), "nowhere/config.yaml: no such file"),
    "too many kept": ((PROMPT, "--keep", 9, "--candidates", 8), "--keep: 9 pictures of 8"),
    "steps of tokens": ((PROMPT, "--steps", 9), "--steps: the sampler 'tokens' of .* has no such"),
    "a temperature of steps": ((PROMPT, "--model", "ldm", "--temperature", 1),
                               "--temperature: the sampler 'ddim' of .* has no such"),
    "more steps than there are": ((PROMPT, "--model", "ldm", "--steps", 21),
                                  "sampler 'ddim': steps must lie in 1..20, not 21"),
    "the same from a picture": ((PROMPT, "--model", "ldm", "--steps", 21, "--image", "grey.png"),
                                "--image: steps must lie in 1..20, not 21"),
    "cold": ((PROMPT, "--temperature", 0), "sampler 'tokens': temperature: must be greater than 0"),
    "mask of nothing": ((PROMPT, "--mask", "junk.png"), "--mask: needs a picture to start"),
    "strength of nothing": ((PROMPT, "--strength", 0.5), "--strength: needs a picture to start"),
    "strength of a mask": ((PROMPT, "--image", "grey.png", "--mask", "grey.png", "--strength", 1),
                           "--strength: has no effect with --mask"),
    "data set of a run": ((PROMPT, "--run", "results/tiny/stripes/dalle/seed0",
                           "--dataset", "digits"), "--dataset: the folder after --run determines"),
    "another data set": ((PROMPT, "--dataset", "digits"),
                         "no finished run of a model 'dalle' on the data set 'digits'"),
    "picture for tokens": ((PROMPT, "--image", "junk.png"), "--image: DALLE is not on a Gaussian"),
    "no picture": ((PROMPT, "--model", "ldm", "--image", "junk.png"), "junk.png: not a readable"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named(study: StudyFolder, genlab: Callable[..., Any], mistake: str) -> None:
    Path("junk.png").write_text("junk")
    Image.new("L", (SIDE, SIDE), 128).save("grey.png")
    arguments, message = MISTAKES[mistake]
    ended = genlab("draw", *arguments, "--out", "out.png")
    assert ended.status == 1
    assert re.search(rf"^error: .*{message}", ended.err, re.M), ended.err
    assert not Path("out.png").exists()


@pytest.mark.parametrize("candidates", [0, -3])
def test_fewer_than_one_candidate_are_refused(
    study: StudyFolder, genlab: Callable[..., Any], candidates: int
) -> None:
    ended = genlab("draw", PROMPT, "--candidates", candidates, "--out", "out.png")
    assert ended.status == 2
    assert "--candidates" in ended.err
    assert "1" in ended.err.partition("--candidates")[2]


@pytest.mark.parametrize("out", ["picture.jpg", "folder.png", "file/picture.png"])
def test_what_cannot_be_written_is_refused(
    study: StudyFolder, genlab: Callable[..., Any], out: str
) -> None:
    Path("folder.png").mkdir()
    Path("file").touch()
    ended = genlab("draw", PROMPT, "--candidates", 1, "--out", out)
    assert ended.status == 1
    assert re.search(rf"^error: .*{out}", ended.err, re.M), ended.err


def test_outside_a_project_the_folder_is_named_that_was_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, genlab: Callable[..., Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = genlab("draw", PROMPT, "--out", "out.png")
    assert ended.status == 1
    assert ended.err.startswith(f"error: {tmp_path}/results: no such folder")
    Path("results").mkdir()
    ended = genlab("draw", PROMPT, "--out", "out.png")
    assert ended.err.startswith(f"error: {tmp_path}/results: no finished run of a model 'dalle'")


def test_the_usual_score_is_the_one_that_most_real_images_reach(study: StudyFolder) -> None:
    """The 5 % quantile of the 64 held-out images with their captions, by hand."""
    run, clip = study.run("stripes", "dalle", 0), load_trained(study.clip("stripes"))
    images = np.array(read_array(run.data.images("test")))
    captions = np.array(read_array(run.data.captions("test")))[:, 0]
    tokens = torch.from_numpy(np.array(read_array(run.data.tokens))[captions])
    with torch.no_grad():
        scores: Any = 100 * clip.score(to_float(torch.from_numpy(images)), tokens)  # type: ignore[operator]
    usual = float(np.quantile(scores.numpy(), 0.05))
    # Adding up in another order costs the last digits of float32.
    assert usual_score(run.data, clip, torch.device("cpu")) == pytest.approx(usual, rel=1e-5)  # type: ignore[arg-type]


def test_a_picture_that_fits_worse_than_real_ones_is_a_warning(
    study: StudyFolder, genlab: Callable[..., Any]
) -> None:
    """Held-out images are copies of a picture that the model drew, so that its score is usual."""
    run = study.run("stripes", "dalle", 0)
    texts = read_json(run.data.texts)["texts"]
    pictures, scores = [], []
    for seed in range(9):
        ended = genlab("draw", PROMPT, "--candidates", 1, "--seed", seed, "--out", "out.png")
        pictures.append(written(Path("out.png")))
        scores.append(float(ended.out.partition("CLIP score ")[2].split()[0]))
    worst, middle, best = np.argsort(scores)[[0, 4, 8]]
    assert scores[worst] < scores[middle] < scores[best]
    write_array(run.data.images("test"), np.stack([pictures[middle][None]] * 20))
    write_array(run.data.captions("test"), np.full((20, 1), texts.index(PROMPT)))
    warning = (
        f"warning: CLIP score {scores[worst]:.1f} is below the {scores[middle]:.1f} that 95% of "
        "held-out images reach with their own captions"
    )
    for seed, warned in ((worst, True), (best, False)):
        ended = genlab("draw", PROMPT, "--candidates", 1, "--seed", seed, "--out", "out.png")
        assert ended.status == 0
        assert (warning in ended.err) == warned == ("warning" in ended.err), ended.err


def test_the_version_and_two_groups_of_commands(genlab: Callable[..., Any]) -> None:
    assert genlab("--version").out == f"genlab {version('genlab')}\n"
    text = genlab("--help").out
    for_you, stages = text.index("For you"), text.index("Stages, which Snakemake runs")
    assert for_you < text.index("│ draw ") < stages < text.index("│ train ")


def test_without_clip_nothing_is_drawn(study: StudyFolder, genlab: Callable[..., Any]) -> None:
    study.clip("stripes").weights.unlink()
    ended = genlab("draw", PROMPT, "--out", "out.png")
    assert ended.status == 1
    assert re.search(r"^error: results/tiny/stripes/clip/seed0/model/weights.safetensors: no such",
                     ended.err, re.M)  # fmt: skip


def test_the_run_that_was_finished_last_draws(tmp_path: Path) -> None:
    """Of any study and seed, and of any data set or of one; without one that is not finished."""
    runs = [
        StudyFolder(tmp_path / study).run(data, "dalle", seed)
        for study, data, seed in (("a", "x", 0), ("b", "x", 1), ("b", "y", 0))
    ]
    for age, run in zip((3, 1, 2), runs, strict=True):
        write_json(run.cost, {})
        write_text(run.prompts_config, "")
        os.utime(run.cost, (10_000 - age, 10_000 - age))
    assert find_run(tmp_path, "dalle") == runs[1]
    assert find_run(tmp_path, "dalle", "y") == runs[2]
    runs[1].cost.unlink()
    assert find_run(tmp_path, "dalle") == runs[2]
    with pytest.raises(GenLabError, match="no finished run of a model 'ldm'"):
        find_run(tmp_path, "ldm")


def test_a_run_is_found_from_its_own_folder(
    study: StudyFolder, genlab: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(study.run("stripes", "dalle", 0).folder)
    ended = genlab("draw", PROMPT, "--run", ".", "--candidates", 2, "--out", "best.png")
    assert ended.status == 0, ended.err


def test_the_guidance_is_the_one_that_was_found_best(study: StudyFolder) -> None:
    run = study.run("stripes", "dalle", 0)
    assert choose_sampler(run, {}) == TokenSampler(guidance=2.0)  # the study's own
    scales = [{"guidance": scale} for scale in (1.0, 4.0, 8.0)]
    write_json(run.prompts / "prompts.json", {"kinds": {"seen": scales}, "chosen": 1})
    assert choose_sampler(run, {}) == TokenSampler(guidance=4.0)
    assert choose_sampler(run, {"guidance": 0.5}) == TokenSampler(guidance=0.5)
