"""What a study shows, in sentences that follow from its numbers.

No sentence says more than the test of the ranks does: a difference is called one only where the two
rows can be told apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import permutations

from genlab.report.standings import Standing, best_of_each_model

NAMED = 3
"""Rows that a sentence names one by one."""
SHARED = 3
"""Models that two samplers must share to be compared."""


def findings(standings: Sequence[Standing], seeds: int) -> list[str]:
    """Return sentences on the best rows, on what being told helps, on costs, samplers and copies.

    Args:
        standings: of one data set, at least one, the best first.
        seeds: number of training seeds.
    """
    honest = [one for one in standings if not one.copies]
    if not honest:
        return [_copies(standings), _seeds(seeds)]
    sentences = [
        _best(honest),
        _next(best_of_each_model(honest)),
        _conditioning(honest),
        _cheapest(honest),
        _samplers(standings),
        _copies(standings),
        _seeds(seeds),
    ]
    return [sentence for sentence in sentences if sentence]


def listed(names: Sequence[str]) -> str:
    """Join names for a sentence: 'a, b and c'; of many, the first and how many more there are."""
    if len(names) > NAMED + 1:
        names = [*names[:NAMED], f"{len(names) - NAMED} more rows"]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _score(one: Standing) -> str:
    return f"FDr {one.fdr:.3g}"


def _best(standings: Sequence[Standing]) -> str:
    best = standings[0]
    rivals = [one.name for one in standings if one.row in best.ties]
    if rivals:
        return (
            f"{best.name} has the best score ({_score(best)}), but can't be told apart from "
            f"{listed(rivals)}."
        )
    rest = " and differs from every other row" if len(standings) > 1 else ""
    return f"{best.name} has the best samples ({_score(best)}; real images score 1){rest}."


def _next(models: Sequence[Standing]) -> str:
    if len(models) < NAMED:
        return ""
    second, third = models[1:3]
    verdict = "can't be told apart" if third.row in second.ties else "differ significantly"
    return (
        f"The second and the third model, {second.name} ({_score(second)}) and {third.name} "
        f"({_score(third)}), {verdict}."
    )


def _conditioning(standings: Sequence[Standing]) -> str:
    conditional = next((one for one in standings if one.condition != "nothing"), None)
    free = next((one for one in standings if one.condition == "nothing"), None)
    if conditional is None or free is None:
        return ""
    names = {
        conditional.row: f"best row with a {conditional.condition}",
        free.row: "best one without",
    }
    if conditional.row in free.ties:
        return (
            f"The {names[conditional.row]}, {conditional.name}, can't be told apart from the "
            f"{names[free.row]}, {free.name}."
        )
    better, worse = sorted((conditional, free), key=lambda one: one.fdr)
    return (
        f"The {names[better.row]}, {better.name}, beats the {names[worse.row]}, {worse.name}: "
        f"{_score(better)} to {worse.fdr:.3g}."
    )


def _cheapest(standings: Sequence[Standing]) -> str:
    best = standings[0]
    near = [one for one in standings if one.fdr <= 2 * best.fdr and one.milliseconds]
    cheapest = min(near, key=lambda one: one.milliseconds or 0, default=best)
    if not (best.milliseconds and cheapest.milliseconds):
        return ""
    if cheapest is best:
        return (
            f"Within twice the best score, no row is faster than {best.name} with "
            f"{best.milliseconds:.2g} ms an image."
        )
    fastest = cheapest.name
    if cheapest.condition != "nothing":
        fastest += f", which gets a {cheapest.condition},"
    return (
        f"Within twice the best score, {fastest} is the fastest: {_score(cheapest)} at "
        f"{cheapest.milliseconds:.2g} ms an image; {best.name} takes {best.milliseconds:.2g} ms."
    )


def _samplers(standings: Sequence[Standing]) -> str:
    """The sampler that beats another one for most models that have both, and with less work."""
    rows = {one.row: one for one in standings}
    models, samplers = (list(dict.fromkeys(part)) for part in zip(*rows, strict=True))
    wins: Counter[tuple[str, str]] = Counter()
    shared: Counter[tuple[str, str]] = Counter()
    shares: dict[tuple[str, str], float] = {}
    for better, worse in permutations(samplers, 2):
        for model in models:
            one, other = rows.get((model, better)), rows.get((model, worse))
            if one is None or other is None:
                continue
            shared[better, worse] += 1
            wins[better, worse] += one.fdr < other.fdr and other.row not in one.ties
            work = (one.number("evaluations") or 1) / (other.number("evaluations") or 1)
            shares[better, worse] = max(work, shares.get((better, worse), 0))
    pairs = [
        pair
        for pair, models_with_both in shared.items()
        if models_with_both >= SHARED and 2 * wins[pair] > models_with_both and shares[pair] < 1
    ]
    if not pairs:
        return ""
    better, worse = pair = max(pairs, key=lambda pair: (wins[pair] / shared[pair], wins[pair]))
    return (
        f"{better} beats {worse} for {wins[pair]} of {shared[pair]} models, with "
        f"{100 * shares[pair]:.0f} % of the network evaluations."
    )


def _copies(standings: Sequence[Standing]) -> str:
    if all(one.number("copying_p") is None for one in standings):
        return ""
    whole = [one.name for one in standings if one.copies]
    parts = [one.name for one in standings if one.copies_parts]
    if not whole and not parts:
        return "No row shows a sign of copying training images."
    sentences = []
    if whole:
        verb = "shows" if len(whole) == 1 else "show"
        sentences.append(
            f"{listed(whole)} {verb} signs of copying training images, and therefore can't be the "
            "best of anything here."
        )
    if parts:
        sentences.append(
            f"Parts of what {listed(parts)} drew are nearer to training than to held-out images: a "
            "sign of overfitting."
        )
    return " ".join(sentences)


def _seeds(seeds: int) -> str:
    if seeds > 1:
        return f"Each score is the mean over {seeds} trainings."
    return (
        "Each model was trained once: another training seed may change the order, and nothing here "
        "says by how much."
    )
