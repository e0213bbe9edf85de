"""The command `draw`: pictures for a sentence, from a model that a study trained.

Several candidates are drawn, sample i from the noise of (seed, i), and CLIP says which of them fit
the sentence best. A model on a Gaussian path may start from a given picture as well, or complete
one that is given in part.
"""

from __future__ import annotations

import math
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from genlab.config.base import build
from genlab.config.datasets import ImageFolderConfig
from genlab.config.samplers import SamplerConfig
from genlab.config.study import load_sampler
from genlab.data.decoding import load_picture, to_pixels
from genlab.data.pictures import save_grid
from genlab.data.tokenizer import Tokenizer, words
from genlab.errors import GenLabError, nearest
from genlab.evaluation.panel import check_words, loaded
from genlab.io.arrays import read_array
from genlab.io.files import read_json
from genlab.models.base import Model
from genlab.models.batches import in_parts, to_float, to_uint8
from genlab.models.capabilities import HasDenoiser
from genlab.models.clip import CLIP
from genlab.models.devices import pick_device
from genlab.models.store import load_model
from genlab.processes.noise import SampleNoise
from genlab.results.layout import RunFolder
from genlab.results.spec import read_prompts, read_run
from genlab.sampling.draw import draw
from genlab.sampling.image_to_image import image_to_image
from genlab.sampling.inpainting import complete

BATCH = 16  # candidates drawn at a time
LARGE = 256  # pixels, about, along the side of a picture that is written
MENTIONED = 20  # known words that a message names
FUNCTION_WORDS = {
    "a", "an", "the", "this", "that", "these", "those", "some", "any", "each", "no", "not",
    "of", "in", "on", "at", "by", "with", "to", "from", "for", "as", "and", "or", "but",
    "is", "are", "be", "was", "were", "has", "have", "do", "does", "please",
    "it", "its", "he", "she", "his", "her", "they", "their", "i", "you", "me", "my", "your",
}  # fmt: skip
"""Words of English grammar, which say nothing of what is to be seen.

Captions alone don't tell them: of scenes "on" stands beside some images only, as "red" does.
Words for places ("above", "left") are none of them.
"""
REAL = 500  # held-out images whose CLIP scores say what is usual
UNUSUAL = 0.05  # the share of them that score lower than what is taken to be usual
HALF = 128  # a mask's grey value from which on pixels are drawn anew


@dataclass(frozen=True)
class Given:
    """A picture to start from.

    Attributes:
        picture: its file, of any size.
        strength: of image to image: 0 keeps all of it, 1 nothing.
        mask: the file of a picture that is white where it is to be drawn anew; all else is kept.
    """

    picture: Path
    strength: float
    mask: Path | None = None


@dataclass(frozen=True)
class Wish:
    """What is asked for.

    Attributes:
        changes: settings of the sampler that differ from the study's.
        candidates, keep: how many pictures are drawn, and how many of them are written.
    """

    prompt: str
    candidates: int = 16
    keep: int = 1
    seed: int = 0
    changes: dict[str, Any] = field(default_factory=dict)
    given: Given | None = None


def find_run(results: Path, model: str, dataset: str | None = None) -> RunFolder:
    """The run of `model` that takes prompts and was the last to be finished, of whatever study.

    Args:
        dataset: only runs on it; None takes any.

    Raises:
        GenLabError: there is none.
    """
    where = results.absolute()
    if not results.is_dir():
        raise GenLabError(
            f"{where}: no such folder, so there is no run to draw from; go to a project in which a "
            "study ran, or name the folder of a run with --run"
        )
    runs = [run for run in finished_runs(results) if dataset in (None, run.dataset)]
    taking = [run for run in runs if run.prompts_config.exists()]
    if named := [run for run in taking if run.model_name == model]:
        return max(named, key=lambda run: run.cost.stat().st_mtime)
    if any(run.model_name == model for run in runs):
        raise GenLabError(f"{where}: {takes_no_prompts(model, results)}")
    on = f" on the data set '{dataset}'" if dataset else ""
    raise GenLabError(
        f"{where}: no finished run of a model '{model}'{on} ("
        f"{nearest(model, {run.model_name for run in taking})}); run a study with it, or name the "
        "folder of a run with --run"
    )


def finished_runs(results: Path) -> list[RunFolder]:
    """The runs of all studies whose training is finished."""
    return [RunFolder(path.parent.parent) for path in results.glob("*/*/*/seed*/model/cost.json")]


def takes_no_prompts(model: str, results: Path) -> str:
    """A sentence that says so, and names the models of finished runs that do."""
    names = {run.model_name for run in finished_runs(results) if run.prompts_config.exists()}
    others = f"of the finished runs these do: {', '.join(sorted(names))}"
    return f"the model '{model}' takes no prompts; {others if names else 'no finished run does'}"


def chosen_sampler(run: RunFolder, changes: dict[str, Any]) -> SamplerConfig:
    """The sampler that the study asks the model with, at the guidance that was found best.

    Raises:
        GenLabError: it has no such setting as one of the `changes`, or not such a value.
    """
    sampler = read_prompts(run.prompts_config).sampler
    known = type(sampler).model_fields
    for name in changes:
        if name not in known:
            raise GenLabError(f"--{name}: the sampler '{sampler.sampler}' of {run.folder} has none")
    values = sampler.model_dump()
    if "guidance" in known and (run.prompts / "prompts.json").exists():
        measured = read_json(run.prompts / "prompts.json")
        values["guidance"] = measured["kinds"]["seen"][measured["chosen"]]["guidance"]
    return load_sampler(values | changes, f"sampler '{sampler.sampler}'")


def content_words(run: RunFolder) -> set[str]:
    """The words that say what is to be seen: those that tell one training image from another.

    A word that stands beside every training image, as "photo" in captions "a photo of a ship" and
    "a photo of a frog", asks for none of them. Nor do FUNCTION_WORDS.
    """
    texts = [frozenset(words(text)) for text in read_json(run.data.texts)["texts"]]
    images = np.unique(read_array(run.data.captions("train")), axis=0)  # alike ones count once
    beside = [frozenset[str]().union(*(texts[number] for number in row)) for row in images]
    everywhere = frozenset.intersection(*beside) if len(beside) > 1 else frozenset()
    return set(frozenset[str]().union(*beside) - everywhere - FUNCTION_WORDS)


def as_captions(run: RunFolder, prompt: str) -> tuple[str, list[str]]:
    """The prompt, its words spelt as in the training captions; and those that are in none.

    They are left out: to the model they would be letters that it has never seen, and many.

    Raises:
        GenLabError: none is left that says what is to be seen.
    """
    captions = read_json(run.data.texts)
    said = re.findall(r"\w+", " ".join(captions["texts"][: captions["known"]]))
    spelling = {word.lower(): word for word in said}
    requested = dict.fromkeys(words(prompt))
    unknown = [word for word in requested if word not in spelling]
    content = content_words(run)
    if not requested.keys() & content:
        vocabulary = sorted(content)
        more = " ..." if len(vocabulary) > MENTIONED else ""
        raise GenLabError(
            f"'{prompt}': no word that says what to draw is in a training caption; known are "
            f"{', '.join(vocabulary[:MENTIONED])}{more}"
        )
    text = re.sub(r"\w+", lambda word: spelling.get(word[0].lower(), ""), prompt)
    heard = set("".join(captions["texts"][: captions["known"]]))  # a full stop, say, is not
    text = "".join(letter if letter in heard else " " for letter in text)
    return " ".join(text.split()), unknown


def read_picture(path: Path, channels: int, size: int) -> Tensor:
    """A picture of any size and mode as float32 [1, C, H, W] on [0, 1]."""
    shape = {"size": size, "channels": channels, "resize": True, "convert": True}
    config = build(ImageFolderConfig, {"path": str(path.parent), **shape}, path)
    if not path.is_file():
        raise GenLabError(f"{path}: no such picture file")
    try:
        pixels = to_pixels(load_picture(path.read_bytes()), config)
    except OSError as error:
        raise GenLabError(f"{path}: can't be read: {error.strerror}") from None
    except GenLabError as error:
        raise GenLabError(f"{path}: {error}") from None
    return to_float(torch.from_numpy(np.array(pixels)))[None]


def from_given(
    model: Model, given: Given, noise: SampleNoise, tokens: Tensor, asked: dict[str, Any]
) -> Tensor:
    """Candidates [B, C, H, W] that start from a picture, or complete it.

    Args:
        asked: `guidance` and `steps` of the sampler, where it has such.

    Raises:
        GenLabError: the model draws in another way than along a Gaussian path, or not in so many
            steps.
    """
    if not isinstance(model, HasDenoiser):
        raise GenLabError(
            f"--image: {type(model).__name__} walks no Gaussian path, and can start from no "
            "picture; take a diffusion model"
        )
    channels, size, _ = model.shape
    images = read_picture(given.picture, channels, size).to(noise.device)
    images = images.expand(len(noise), -1, -1, -1)
    options = {"labels": tokens, **asked}
    try:
        if given.mask is None:
            return image_to_image(model, images, noise, strength=given.strength, **options)
        known = read_picture(given.mask, 1, size).to(noise.device) < HALF / 255
        return complete(model, images, known, noise, **options)
    except ValueError as error:
        raise GenLabError(f"--image: {error}") from None


def draw_candidates(model: Model, sampler: SamplerConfig, wish: Wish, tokens: Tensor) -> Tensor:
    """All candidates, uint8 [candidates, C, H, W], of a prompt int64 [1, L]."""
    asked = sampler.model_dump(include={"guidance", "steps"})
    found = []
    with tqdm(total=wish.candidates, unit="picture") as bar:
        for start in range(0, wish.candidates, BATCH):
            which = range(start, min(start + BATCH, wish.candidates))
            noise = SampleNoise(wish.seed, which, tokens.device)
            said = tokens.expand(len(which), -1)
            if wish.given is None:
                images = draw(model, sampler, noise, said).images
            else:
                images = from_given(model, wish.given, noise, said, asked)
            found.append(to_uint8(images))
            bar.update(len(which))
    return torch.cat(found)


@torch.no_grad()
def usual_score(run: RunFolder, clip: CLIP, device: torch.device) -> float:
    """The CLIP score that all held-out images but a few (UNUSUAL) reach with their own captions."""
    images = read_array(run.data.images("test"))
    spread = slice(None, None, max(1, len(images) // REAL))
    captions = np.array(read_array(run.data.captions("test"))[spread, 0])
    tokens = torch.from_numpy(np.array(read_array(run.data.tokens)[captions])).to(device)
    parts = zip(in_parts(images[spread], device, REAL), torch.split(tokens, REAL), strict=True)
    scores = torch.cat([clip.score(*part) for part in parts])
    return 100 * float(scores.quantile(UNUSUAL))


@torch.no_grad()
def draw_prompt(run: RunFolder, wish: Wish, out: Path, *, cpu: bool = False) -> None:
    """Draw a wish's candidates, write the best as a picture, and say how well they fit.

    Raises:
        GenLabError: the prompt is empty or longer than the model's context, the run takes none,
            there is no CLIP, or `out` can't be written.
    """
    if out.suffix.lower() != ".png" or out.is_dir():
        raise GenLabError(f"--out: {out}: name a PNG file, such as picture.png")
    if not wish.prompt.strip():
        raise GenLabError("the prompt is empty; say what is to be seen")
    if wish.keep > wish.candidates:
        raise GenLabError(f"--keep: {wish.keep} pictures of {wish.candidates} candidates")
    if not read_run(run.config).model.takes_prompts:
        says = takes_no_prompts(run.model_name, run.study.results)
        raise GenLabError(f"{run.folder}: {says}")
    device, sampler = pick_device(cpu), chosen_sampler(run, wish.changes)
    model = load_model(run, device)
    clip = loaded(run.study.clip(run.dataset), CLIP, device)
    check_words(model, read_json(run.data.manifest), run.data.manifest)
    way = f"sampler '{sampler.sampler}'"
    if wish.given is not None:
        way = "DDIM from the picture" if wish.given.mask is None else "RePaint around the mask"
    print(f"{run.folder}, {way}")
    prompt, unknown = as_captions(run, wish.prompt)
    if unknown:
        print(f"never in a training caption, and so left out: {', '.join(unknown)}")
    rows = Tokenizer.load(run.data.tokenizer).rows([prompt], model.facts.words.length)
    tokens = torch.from_numpy(rows).to(device)
    pixels = draw_candidates(model, sampler, wish, tokens)
    scores = 100 * clip.score(to_float(pixels), tokens.expand(len(pixels), -1))
    best = scores.argsort(descending=True, stable=True)[: wish.keep]
    columns = math.ceil(math.sqrt(wish.keep))
    kept = pixels[best].cpu().numpy()
    save_grid(out, kept, columns, side=LARGE // columns, gap=min(1, wish.keep - 1))
    marks = ", ".join(f"{float(scores[i]):.1f} (candidate {int(i)})" for i in best)
    print(f"{out}: CLIP score {marks}; of all {len(pixels)} {float(scores.mean()):.1f} in the mean")
    usual, highest = usual_score(run, clip, device), float(scores[best[0]])
    reached = f"{1 - UNUSUAL:.0%} of held-out images reach with their own captions"
    if highest < usual:
        print(
            f"warning: CLIP score {highest:.1f} is below the {usual:.1f} that {reached}; the "
            "picture hardly shows what the prompt says",
            file=sys.stderr,
        )
