"""The stage `prompts`: measures of whether a run's model draws what prompts describe."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch

from genlab.config.samplers import SamplerConfig, SteppedSampler
from genlab.data.arrays import alternate_classes
from genlab.data.pictures import save_rows
from genlab.data.tokenizer import Tokenizer
from genlab.errors import GenLabError
from genlab.evaluation.prompt_evaluators import PromptEvaluators, first_evaluation_image
from genlab.evaluation.prompt_measures import counts_up_to
from genlab.evaluation.prompt_pictures import candidate_sheet
from genlab.evaluation.prompts import Candidates, Prompts, study
from genlab.io.arrays import read_array, write_array
from genlab.io.files import read_json
from genlab.models.base import Model
from genlab.models.devices import pick_device
from genlab.models.gaussian import GaussianModel
from genlab.processes.noise import SampleNoise
from genlab.results.layout import DataFolder, RunFolder
from genlab.results.origin import run_origin, write_measured
from genlab.results.spec import PromptsSpec, read_prompts
from genlab.sampling.attention import attention_rows
from genlab.sampling.draw import draw_images
from genlab.tracking.record import leave_record
from genlab.workflow.data import read_factors
from genlab.workflow.evaluators import load_prompt_evaluators
from genlab.workflow.models import load_trained

KINDS = {"seen": "test", "unseen": "unseen"}  # kinds of prompts, and the split of each
ATTENTION_SAMPLES = 6


def prompts(run: RunFolder, *, cpu: bool = False) -> None:
    """Measure how well a run's model follows prompts; write prompts.json and pictures.

    Raises:
        GenLabError: the model takes no prompts, or CLIP or judge are missing.
    """
    device, origin = pick_device(cpu), run_origin(run)
    model = load_trained(run, device, origin)
    if not model.config.takes_prompts:
        raise GenLabError(f"{run.folder}: {type(model).__name__} takes no prompts")
    spec, evaluators = read_prompts(run.prompts_config), load_prompt_evaluators(run, device)
    counts, manifest = counts_up_to(spec.candidates), read_json(run.data.manifest)
    splits = {kind: split for kind, split in KINDS.items() if split in manifest}
    requested = {
        kind: prompts_of(run.data, split, spec.prompts, device) for kind, split in splits.items()
    }
    samplers = [_guided(spec.sampler, scale) for scale in spec.guidance]
    generators = {
        scale: partial(draw_images, model, sampler)
        for scale, sampler in zip(spec.guidance, samplers, strict=True)
    }
    measured, best, candidates = study(
        generators, evaluators, requested, counts, shown=spec.shown, seed=spec.seed
    )
    shown = save_candidates(run, requested, candidates, evaluators)
    attention = save_attention(run, model, samplers[best], requested, spec)
    content = {
        "sampler": spec.sampler.sampler,
        "candidates": spec.candidates,
        "counts": counts,
        "factors": evaluators.names,
        "subject": evaluators.subject,
        "chosen": best,
        "kinds": measured,
        "judge": {kind: _accuracy(run.data, split, evaluators) for kind, split in splits.items()},
        "clip": _retrieval(run.data, evaluators),
        "shown": shown,
        "attention": attention,
    }
    write_measured(run.prompts / "prompts.json", content, origin)
    _leave_record(run, content)


def prompts_of(data: DataFolder, split: str, count: int, device: torch.device) -> Prompts:
    """The first captions of the first `count` images of a split that the judge has not seen.

    Where no factors are known, the classes take turns.
    """
    factors, labels = read_factors(data, split), read_array(data.labels(split))
    order = np.arange(len(labels))
    if not read_json(data.manifest).get("factors"):
        order = alternate_classes(labels)
    indices = order[first_evaluation_image(len(labels), split) :][:count]
    numbers = np.array(read_array(data.captions(split))[indices, 0])
    texts = read_json(data.texts)["texts"]
    tokens, values = (
        torch.from_numpy(np.array(array)).to(device)
        for array in (read_array(data.tokens)[numbers], factors[indices])
    )
    return Prompts([texts[number] for number in numbers], tokens, values)


def save_candidates(
    run: RunFolder,
    requested: dict[str, Prompts],
    candidates: dict[str, Candidates],
    evaluators: PromptEvaluators,
) -> list[dict[str, Any]]:
    """Write the sheet of candidates, and the best ones for the report; return the facts."""
    facts, best, rows = candidate_sheet(requested, candidates, evaluators)
    write_array(run.kept, best)
    save_rows(run.prompt_figures / "candidates.png", rows)
    return facts


def save_attention(
    run: RunFolder,
    model: Model,
    sampler: SamplerConfig,
    requested: dict[str, Prompts],
    spec: PromptsSpec,
) -> dict[str, str]:
    """Write the attention maps of the first prompt of each kind, for the first candidates.

    Models without cross-attention have no such maps, and neither has a guidance of 0, which ignores
    the prompt.

    Returns:
        The prompts by their kinds.
    """
    if not (isinstance(model, GaussianModel) and isinstance(sampler, SteppedSampler)):
        return {}
    if sampler.guidance == 0:
        return {}
    tokenizer = Tokenizer.load(run.data.tokenizer)
    for kind, (_, tokens, _) in requested.items():
        samples = range(min(ATTENTION_SAMPLES, spec.candidates))
        noise = SampleNoise(spec.seed, samples, tokens.device)
        rows = attention_rows(model, sampler, noise, tokens[0], tokenizer)
        save_rows(run.prompt_figures / f"attention-{kind}.png", rows)
    return {kind: of_kind.texts[0] for kind, of_kind in requested.items()}


def _guided(sampler: SamplerConfig, scale: float) -> SamplerConfig:
    """The sampler at this guidance scale, if it has such a setting."""
    return sampler.model_copy(update={"guidance": scale}) if sampler.takes_guidance else sampler


def _accuracy(data: DataFolder, split: str, evaluators: PromptEvaluators) -> dict[str, Any]:
    """The judge's accuracy on the real images of a split that it was not trained on."""
    images, factors = read_array(data.images(split)), read_factors(data, split)
    first = first_evaluation_image(len(images), split)
    return evaluators.judge_accuracy(images[first:], factors[first:])


def _retrieval(data: DataFolder, evaluators: PromptEvaluators) -> dict[str, float]:
    """CLIP's retrieval of captions for held-out images."""
    captions = np.array(read_array(data.captions("test"))[:, 0])
    return evaluators.retrieval(read_array(data.images("test")), captions, read_array(data.tokens))


def _leave_record(run: RunFolder, content: dict[str, Any]) -> None:
    """Leave the pictures, and shares correct and CLIP scores at the chosen guidance."""
    metrics = {}
    for kind, scales in content["kinds"].items():
        for name in ("subject", "all", "clip_score"):
            curve = scales[content["chosen"]][name]
            metrics[f"prompts/{kind}/{name}"] = curve[0]
            metrics[f"prompts/{kind}/{name}_best_of_{content['candidates']}"] = curve[-1]
    figures = sorted(run.prompt_figures.glob("*.png"))
    leave_record(
        run, "prompts", metrics=metrics, artifacts=[*figures, run.prompts / "prompts.json"]
    )
