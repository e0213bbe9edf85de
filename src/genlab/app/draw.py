"""The command `draw`: pictures for a sentence, from a model that a study trained.

Several candidates are drawn, sample i from the noise of (seed, i), and CLIP picks those that fit
the sentence best. A model on a Gaussian path can also start from a picture, or complete one.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genlab.config.base import build
from genlab.config.samplers import SamplerConfig
from genlab.config.sources.image_folder import ImageFolderConfig
from genlab.config.study import load_sampler
from genlab.data.decoding import load_picture, to_pixels
from genlab.data.pictures import save_grid
from genlab.data.tokenizer import Tokenizer
from genlab.data.vocabulary import Vocabulary
from genlab.errors import GenLabError, nearest
from genlab.io.arrays import read_array
from genlab.io.files import read_json
from genlab.models.base import Model
from genlab.models.batches import to_float
from genlab.models.capabilities import HasDenoiser
from genlab.models.clip import CLIP
from genlab.models.devices import pick_device
from genlab.results.layout import DataFolder, RunFolder
from genlab.results.spec import read_prompts, read_run
from genlab.sampling.draw import draw_images
from genlab.sampling.prompting import (
    SourceImage,
    draw_in_batches,
    redraw_image,
    score_quantile,
)
from genlab.workflow.evaluators import check_tokenizer, load_evaluator
from genlab.workflow.models import load_trained

PICTURE_SIDE = 256  # approximate side of a written picture, in pixels
LISTED_WORDS = 20  # words that an error message lists
REAL_IMAGES = 500  # held-out images that define the usual CLIP score
LOW_QUANTILE = 0.05  # the usual CLIP score is this quantile of theirs
MASK_THRESHOLD = 128  # grey value of a mask from which on pixels are inpainted


@dataclass(frozen=True)
class SourcePicture:
    """A picture to start from, of any size.

    Attributes:
        path: its file.
        strength: of image to image: 0 keeps the picture, 1 replaces it.
        mask: the file of a picture that is white where pixels are inpainted; all others are kept.
    """

    path: Path
    strength: float
    mask: Path | None = None


@dataclass(frozen=True)
class Request:
    """A request for pictures.

    Attributes:
        candidates: number of pictures that are drawn.
        keep: number of pictures that are written, the best first.
        settings: settings of the sampler that replace the study's.
        source: a picture to start from; None starts from noise.
    """

    prompt: str
    candidates: int = 16
    keep: int = 1
    seed: int = 0
    settings: dict[str, Any] = field(default_factory=dict)
    source: SourcePicture | None = None


def find_run(results: Path, model: str, dataset: str | None = None) -> RunFolder:
    """The most recently finished run of `model` that takes prompts, in any study.

    Args:
        dataset: only consider runs on this data set.

    Raises:
        GenLabError: there is none.
    """
    where = results.absolute()
    if not results.is_dir():
        raise GenLabError(
            f"{where}: no such folder, so there is no run to draw from; change to a project with a "
            "finished study, or name the folder of a run with --run"
        )
    runs = [run for run in finished_runs(results) if dataset in (None, run.dataset)]
    with_prompts = [run for run in runs if run.prompts_config.exists()]
    if matching := [run for run in with_prompts if run.model_name == model]:
        return max(matching, key=lambda run: run.cost.stat().st_mtime)
    if any(run.model_name == model for run in runs):
        raise GenLabError(f"{where}: {takes_no_prompts(model, results)}")
    on = f" on the data set '{dataset}'" if dataset else ""
    raise GenLabError(
        f"{where}: no finished run of a model '{model}'{on} ("
        f"{nearest(model, {run.model_name for run in with_prompts})}); run a study with it, or "
        "name the folder of a run with --run"
    )


def finished_runs(results: Path) -> list[RunFolder]:
    """The runs of all studies whose training is finished."""
    return [RunFolder(path.parent.parent) for path in results.glob("*/*/*/seed*/model/cost.json")]


def takes_no_prompts(model: str, results: Path) -> str:
    """An error message that names the models of finished runs that do take prompts."""
    names = {run.model_name for run in finished_runs(results) if run.prompts_config.exists()}
    others = f"of the finished runs these do: {', '.join(sorted(names))}"
    return f"the model '{model}' takes no prompts; {others if names else 'no finished run does'}"


def choose_sampler(run: RunFolder, settings: dict[str, Any]) -> SamplerConfig:
    """The sampler of the run's prompts, at the best guidance scale that the study measured.

    Args:
        settings: replace its own.

    Raises:
        GenLabError: the sampler has no such setting, or the value is invalid.
    """
    sampler = read_prompts(run.prompts_config).sampler
    fields = type(sampler).model_fields
    for name in settings:
        if name not in fields:
            raise GenLabError(
                f"--{name}: the sampler '{sampler.sampler}' of {run.folder} has no such setting"
            )
    values = sampler.model_dump()
    if "guidance" in fields and (run.prompts / "prompts.json").exists():
        measured = read_json(run.prompts / "prompts.json")
        values["guidance"] = measured["kinds"]["seen"][measured["chosen"]]["guidance"]
    return load_sampler(values | settings, f"sampler '{sampler.sampler}'")


def rewrite_prompt(data: DataFolder, prompt: str) -> str:
    """The prompt in the words of the training captions; reports words that are left out.

    Raises:
        GenLabError: no word is left that describes content.
    """
    captions = read_json(data.texts)
    texts = captions["texts"][: captions["known"]]
    vocabulary = Vocabulary.of(texts, read_array(data.captions("train")))
    if not vocabulary.describes_content(prompt):
        words = sorted(vocabulary.content)
        more = " ..." if len(words) > LISTED_WORDS else ""
        raise GenLabError(
            f"'{prompt}': none of its words describes what training images show; words that do: "
            f"{', '.join(words[:LISTED_WORDS])}{more}"
        )
    text, unknown = vocabulary.rewrite(prompt)
    if unknown:
        print(f"words in no training caption are left out: {', '.join(unknown)}")
    return text


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


def read_source(source: SourcePicture, shape: tuple[int, int, int]) -> SourceImage:
    """The picture and its mask in the shape (channels, height, width) of a model's images."""
    channels, size, _ = shape
    mask = None
    if source.mask is not None:
        mask = read_picture(source.mask, 1, size) < MASK_THRESHOLD / 255
    return SourceImage(read_picture(source.path, channels, size), source.strength, mask)


def draw_candidates(
    model: Model, sampler: SamplerConfig, request: Request, tokens: Tensor
) -> Tensor:
    """All candidates, uint8 [candidates, C, H, W], for a prompt int64 [1, L].

    Raises:
        GenLabError: the model cannot start from a picture, or not in so many steps.
    """
    count, seed = request.candidates, request.seed
    if request.source is None:
        return draw_in_batches(partial(draw_images, model, sampler), tokens, count, seed)
    if not isinstance(model, HasDenoiser):
        raise GenLabError(
            f"--image: {type(model).__name__} is not on a Gaussian path, so it cannot start from a "
            "picture; use a diffusion model"
        )
    source = read_source(request.source, model.shape)
    settings = sampler.model_dump(include={"guidance", "steps"})
    try:
        generate = partial(redraw_image, model, source, settings)
        return draw_in_batches(generate, tokens, count, seed)
    except ValueError as error:
        raise GenLabError(f"--image: {error}") from None


def usual_score(data: DataFolder, clip: CLIP, device: torch.device) -> float:
    """The CLIP score that all but LOW_QUANTILE of held-out images reach with their own captions."""
    images = read_array(data.images("test"))
    spread = slice(None, None, max(1, len(images) // REAL_IMAGES))
    captions = np.array(read_array(data.captions("test"))[spread, 0])
    tokens = torch.from_numpy(np.array(read_array(data.tokens)[captions])).to(device)
    return score_quantile(clip, images[spread], tokens, LOW_QUANTILE)


def check_request(run: RunFolder, request: Request, out: Path) -> None:
    """Refuse a request that cannot be fulfilled, before any model is loaded.

    Raises:
        GenLabError: `out` is no PNG file, the prompt is empty, more pictures are kept than drawn,
            or the run takes no prompts.
    """
    if out.suffix.lower() != ".png" or out.is_dir():
        raise GenLabError(f"--out: {out}: name a PNG file, such as picture.png")
    if not request.prompt.strip():
        raise GenLabError("the prompt is empty; describe the picture in a sentence")
    if request.keep > request.candidates:
        raise GenLabError(
            f"--keep: {request.keep} pictures of {request.candidates} candidates; keep fewer, or "
            "draw more with --candidates"
        )
    if not read_run(run.config).model.takes_prompts:
        message = takes_no_prompts(run.model_name, run.study.results)
        raise GenLabError(f"{run.folder}: {message}")


@torch.no_grad()
def draw(run: RunFolder, request: Request, out: Path, *, cpu: bool = False) -> None:
    """Draw candidates, write the best ones as one picture, and print how well they fit.

    Raises:
        GenLabError: the request cannot be fulfilled, the prompt is longer than the model's context,
            CLIP is missing, or `out` can't be written.
    """
    check_request(run, request, out)
    device, sampler = pick_device(cpu), choose_sampler(run, request.settings)
    model = load_trained(run, device)
    clip = load_evaluator(run.study.clip(run.dataset), CLIP, device)
    check_tokenizer(model, read_json(run.data.manifest), run.data.manifest)
    print(f"{run.folder}, {_method(sampler, request.source)}")
    prompt = rewrite_prompt(run.data, request.prompt)
    rows = Tokenizer.load(run.data.tokenizer).rows([prompt], model.facts.words.length)
    tokens = torch.from_numpy(rows).to(device)
    pixels = draw_candidates(model, sampler, request, tokens)
    scores = 100 * clip.score(to_float(pixels), tokens.expand(len(pixels), -1))
    best = scores.argsort(descending=True, stable=True)[: request.keep]
    columns = math.ceil(math.sqrt(request.keep))
    kept = pixels[best].cpu().numpy()
    save_grid(out, kept, columns, side=PICTURE_SIDE // columns, gap=min(1, request.keep - 1))
    marks = ", ".join(f"{float(scores[i]):.1f} (candidate {int(i)})" for i in best)
    print(f"{out}: CLIP score {marks}; mean of all {len(pixels)}: {float(scores.mean()):.1f}")
    _warn_if_low(float(scores[best[0]]), usual_score(run.data, clip, device))


def _method(sampler: SamplerConfig, source: SourcePicture | None) -> str:
    if source is None:
        return f"sampler '{sampler.sampler}'"
    return "DDIM from the picture" if source.mask is None else "RePaint around the mask"


def _warn_if_low(score: float, usual: float) -> None:
    """Print a warning if the best score is below the usual one."""
    if score < usual:
        print(
            f"warning: CLIP score {score:.1f} is below the {usual:.1f} that "
            f"{1 - LOW_QUANTILE:.0%} of held-out images reach with their own captions; the picture "
            "probably does not show what the prompt describes",
            file=sys.stderr,
        )
