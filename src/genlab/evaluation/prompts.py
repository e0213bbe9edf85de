"""The stage `prompts`: whether a model that takes prompts draws what it is asked for.

Prompts are captions of held-out images, whose factors are what a picture must show. For each prompt
several candidates are drawn, CLIP says how well each of them fits, and a judge that had no part in
drawing or ranking says which factors are right: of the candidates as they come, and of the one that
CLIP would keep among n.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from genlab.config.samplers import SamplerConfig
from genlab.data.arrays import rank_in_class
from genlab.errors import GenLabError
from genlab.evaluation.panel import Panel, best_of, counts_up_to, each, first_unjudged, shares
from genlab.evaluation.prompt_pictures import Drawn, Prompts, save_attention, save_candidates
from genlab.io.arrays import read_array
from genlab.io.files import read_json
from genlab.models.base import Model
from genlab.models.batches import to_float, to_uint8
from genlab.models.devices import pick_device
from genlab.processes.noise import SampleNoise
from genlab.results.layout import DataFolder, RunFolder
from genlab.results.origin import run_origin, write_measured
from genlab.results.spec import PromptsSpec, read_prompts
from genlab.sampling.draw import draw
from genlab.tracking.record import leave_record
from genlab.workflow.data import read_factors
from genlab.workflow.models import load_trained

KINDS = {"seen": "test", "unseen": "unseen"}  # of prompts, and the split that they are taken from
BATCH = 400  # pictures drawn at a time


def prompts_from(data: DataFolder, split: str, count: int, device: torch.device) -> Prompts:
    """The first captions of `count` images of a split that the judge hasn't seen, the first ones.

    Where no factors are known, the classes take turns.
    """
    factors, labels = read_factors(data, split), read_array(data.labels(split))
    order = np.arange(len(labels))
    if not read_json(data.manifest).get("factors"):
        order = np.lexsort((labels, rank_in_class(labels)))
    which = order[first_unjudged(data, split) :][:count]
    numbers = np.array(read_array(data.captions(split))[which, 0])
    texts = read_json(data.texts)["texts"]
    tokens, wanted = read_array(data.tokens)[numbers], np.array(factors[which])
    there = (torch.from_numpy(np.array(found)).to(device) for found in (tokens, wanted))
    return Prompts([texts[number] for number in numbers], *there)


def draw_and_judge(
    model: Model, sampler: SamplerConfig, panel: Panel, prompts: Prompts, spec: PromptsSpec
) -> Drawn:
    """Draw, score and judge the candidates of every prompt.

    Candidate k of prompt i starts from the noise of sample i N + k, whatever the guidance.
    """
    n, total = spec.candidates, len(prompts.texts) * spec.candidates
    sentences = panel.clip.embed_texts(prompts.tokens)  # [P, E]
    scores, right, shown = [], [], []
    for start in range(0, total, BATCH):
        which = range(start, min(start + BATCH, total))
        of = torch.tensor([i // n for i in which], device=panel.device)  # the prompt of each
        noise = SampleNoise(spec.seed, which, panel.device)
        pixels = to_uint8(draw(model, sampler, noise, prompts.tokens[of]).images)
        images = to_float(pixels)
        scores.append((panel.clip.embed_images(images) * sentences[of]).sum(dim=1))
        right.append(panel.right(images, prompts.factors[of]))
        shown.append(pixels[of < spec.shown])
    return Drawn(
        torch.cat(scores).reshape(-1, n),
        torch.cat(right).reshape(len(prompts.texts), n, -1),
        torch.cat(shown).reshape(-1, n, *model.shape),
    )


def measure(drawn: Drawn, panel: Panel, counts: list[int]) -> dict[str, Any]:
    """Shares right and CLIP score (100 times the cosine) of the best of n, for each n."""
    found = shares(drawn.right, panel.names, panel.subject)
    return {
        **each(found, lambda values: best_of(values, drawn.scores, counts)),
        "clip_score": best_of(100 * drawn.scores, drawn.scores, counts),
    }


@torch.no_grad()
def prompts(run: RunFolder, *, cpu: bool = False) -> None:
    """Measure how well a run's model follows prompts; write prompts.json and pictures.

    Raises:
        GenLabError: the model takes no prompts, or CLIP or judge aren't there.
    """
    device, origin = pick_device(cpu), run_origin(run)
    model = load_trained(run, device, origin)
    if not model.config.takes_prompts:
        raise GenLabError(f"{run.folder}: {type(model).__name__} takes no prompts")
    spec, panel = read_prompts(run.prompts_config), Panel(run, device)
    counts, manifest = counts_up_to(spec.candidates), read_json(run.data.manifest)
    kinds = {kind: split for kind, split in KINDS.items() if split in manifest}
    asked = {k: prompts_from(run.data, split, spec.prompts, device) for k, split in kinds.items()}
    samplers = [_guided(spec.sampler, scale) for scale in spec.guidance]
    drawn = {
        kind: [draw_and_judge(model, sampler, panel, of_kind, spec) for sampler in samplers]
        for kind, of_kind in asked.items()
    }
    found = {
        kind: [
            {"guidance": scale, "prompts": len(asked[kind].texts)} | measure(one, panel, counts)
            for scale, one in zip(spec.guidance, drawn[kind], strict=True)
        ]
        for kind in kinds
    }
    # At a scale of 0 nothing is asked for.
    asking = [i for i, scale in enumerate(spec.guidance) if scale > 0] or [0]
    chosen = max(asking, key=lambda i: found["seen"][i]["subject"][0])
    shown = save_candidates(run, asked, {kind: drawn[kind][chosen] for kind in kinds}, panel)
    seen = save_attention(run, model, samplers[chosen], asked, spec)
    content = {
        "sampler": spec.sampler.sampler,
        "candidates": spec.candidates,
        "counts": counts,
        "factors": panel.names,
        "subject": panel.subject,
        "chosen": chosen,
        "kinds": found,
        "judge": {kind: panel.judged(split) for kind, split in kinds.items()},
        "clip": panel.retrieval(),
        "shown": shown,
        "attention": seen,
    }
    write_measured(run.prompts / "prompts.json", content, origin)
    _leave_record(run, content)


def _guided(sampler: SamplerConfig, scale: float) -> SamplerConfig:
    """The sampler at this guidance scale, if it knows any."""
    change = {"guidance": scale} if hasattr(sampler, "guidance") else {}
    return sampler.model_copy(update=change)


def _leave_record(run: RunFolder, content: dict[str, Any]) -> None:
    """Leave the pictures, and shares right and CLIP scores at the chosen guidance."""
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
