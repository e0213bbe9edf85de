"""Winners and sentences of the first screen: they say what the numbers and the ties say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import stats
from standings import COPIES, PARTS, standing

from genlab.config.base import read_yaml
from genlab.config.evaluators import CALIBRATION
from genlab.config.study import load_study
from genlab.evaluation.memorisation.copying import (
    NO_VERDICT,
    WHOLE_VERDICT,
    Audit,
    audit,
    ratio_tests,
)
from genlab.evaluation.ranking import Contender, rank
from genlab.io.files import read_json, write_json
from genlab.report.findings import findings, listed
from genlab.report.league import mean_cells, read_league, without_chance_copies
from genlab.report.ranking import place, ranked_rows
from genlab.report.standings import (
    best_of_each_model,
    best_rows,
    condition_of,
    read_standings,
    winners,
)
from genlab.report.study import ReportedStudy, read_reported_study
from genlab.report.tracked import best_sampler
from genlab.results.layout import StudyFolder
from genlab.results.spec import read_study
from genlab.workflow.league import league

LDM = standing("ldm", "sde", 3.0, 1, "caption", 9.6, 199, 20)
DALLE = standing("dalle", "prior", 5.0, 2, "caption", 5.2, 149, 49, ties={("flow", "sde")})
FLOW = standing("flow", "sde", 5.4, 2, "nothing", 27, 159, 20, ties={("dalle", "prior")})
VAE = standing("vae", "prior", 23.0, 3, "nothing", 0.05, 14, 1)
ROWS = [LDM, DALLE, FLOW, VAE]


def test_winners_by_purpose() -> None:
    """Limits are half of what the best row costs: 9.6 / 2 ms and 199 / 2 s, to one digit."""
    assert [(won.purpose, won.standing.model) for won in winners(ROWS)] == [
        ("Best samples", "ldm"),
        ("Best without caption or class", "flow"),
        ("Best below 5 ms an image", "vae"),
        ("Best below 100 s of training", "vae"),
    ]


def test_a_winner_names_those_that_tie_with_it_for_the_same_purpose() -> None:
    assert winners(ROWS)[0].ties == []
    assert winners(ROWS)[1].ties == []  # dalle ties with flow, but was told something
    assert winners(ROWS[1:])[0].ties == [FLOW]


def test_the_best_row_that_was_told_nothing_is_not_shown_twice() -> None:
    assert [won.purpose for won in winners([FLOW, VAE])] == [
        "Best samples", "Best below 10 ms an image", "Best below 80 s of training",
    ]  # fmt: skip


def test_only_one_row_a_model() -> None:
    slow = standing("ldm", "ddpm-50", 4.0, 1)
    assert best_of_each_model([LDM, slow, FLOW]) == [LDM, FLOW]


def test_sentences() -> None:
    assert findings(ROWS, 1) == [
        "ldm · sde has the best samples (FDr 3; real images score 1) and differs from every other "
        "row.",
        "The second and the third model, dalle · prior (FDr 5) and flow · sde (FDr 5.4), can't be "
        "told apart.",
        "The best row with a caption, ldm · sde, beats the best one without, flow · sde: FDr 3 to "
        "5.4.",
        "Within twice the best score, dalle · prior, which gets a caption, is the fastest: FDr 5 "
        "at 5.2 ms an image; ldm · sde takes 9.6 ms.",
        "No row shows a sign of copying training images.",
        "Each model was trained once: another training seed may change the order, and nothing here "
        "says by how much.",
    ]


def test_no_sentence_calls_a_tie_a_difference() -> None:
    rows = ROWS[1:]
    text = " ".join(findings(rows, 3))
    assert (
        "dalle · prior has the best score (FDr 5), but can't be told apart from flow · sde." in text
    )
    assert "The best row with a caption, dalle · prior, can't be told apart from" in text
    assert "no row is faster than dalle · prior with 5.2 ms an image" in text
    assert "beats" not in text
    assert text.endswith("Each score is the mean over 3 trainings.")


def test_copies_are_named() -> None:
    rows = [LDM, standing("glow", "prior", 40, 4, copying=COPIES, p=1e-9)]
    rows += [standing("dalle", "prior", 45, 4, copying=PARTS, p=1e-3)]
    rows += [standing("mean", "prior", 50, 5, p="x")]
    assert findings(rows, 1)[-2] == (
        "glow · prior shows signs of copying training images, and therefore can't be the best of "
        "anything here. Parts of what dalle · prior drew are nearer to training than to held-out "
        "images: a sign of overfitting."
    )


def test_copies_win_nothing() -> None:
    thief = standing("thief", "prior", 1.0, 1, "nothing", 1, 10, copying=COPIES, p=1e-9)
    assert winners([thief, *ROWS]) == winners(ROWS)
    sentences = findings([thief, *ROWS], 1)
    assert sentences[:2] == findings(ROWS, 1)[:2]
    assert winners([thief]) == []
    assert findings([thief], 1)[0].startswith("thief · prior shows signs of copying")
    overfitted = standing("thief", "prior", 1.0, 1, "nothing", 1, 10, copying=PARTS, p=1e-9)
    assert winners([overfitted, *ROWS])[0].standing == overfitted


def audits_of(p_values: NDArray[np.float64], parts: bool = False) -> pd.DataFrame:
    """The league's columns on copying for p-values [rows, seeds], each with its own verdict."""
    rows, seeds = p_values.shape
    return pd.DataFrame({
        "model": [f"model {i // seeds}" for i in range(rows * seeds)],
        "copying": [Audit(p, parts).verdict for p in p_values.ravel()],
        "copying_p": p_values.ravel(),
    })  # fmt: skip


def barred(audits: pd.DataFrame) -> set[str]:
    """Models with a verdict on whole images in any seed."""
    return set(audits.loc[audits["copying"].str.startswith(WHOLE_VERDICT), "model"])


def test_an_honest_row_is_barred_in_one_of_100_studies_at_most() -> None:
    """13 rows and 3 seeds. Without the correction .99^39 = .68 of such studies bar none."""
    random = np.random.default_rng(0)
    studies = [audits_of(random.uniform(size=(13, 3))) for _ in range(1000)]
    uncorrected = sum(bool(barred(audits)) for audits in studies)
    corrected = sum(bool(barred(without_chance_copies(audits))) for audits in studies)
    assert uncorrected == pytest.approx(1000 * (1 - 0.99**39), abs=60)  # 4 standard deviations
    assert corrected <= stats.binom.ppf(0.999, 1000, 0.01)


def test_a_row_that_copies_in_one_seed_of_three_is_always_barred() -> None:
    """5 % of the samples are copies; audits of real tests, and of 38 honest ones beside it."""
    random = np.random.default_rng(1)
    for _ in range(20):
        p_values = random.uniform(size=(13, 3))
        ratios, held_out = random.beta(8, 2, 500), random.beta(8, 2, 500)
        ratios[:25] = 0.01
        p_values[5, 1] = audit(ratio_tests(ratios, held_out), random.uniform()).p
        audits = without_chance_copies(audits_of(p_values))
        assert "model 5" in barred(audits)
        assert (audits["copying_p"] == p_values.ravel()).all()


def test_only_verdicts_of_models_on_whole_images_are_corrected() -> None:
    p_values = np.full((13, 1), 0.005)
    parts, whole = audits_of(p_values, parts=True), audits_of(p_values)
    assert without_chance_copies(parts).equals(parts)
    assert barred(without_chance_copies(whole)) == set()
    whole.loc[3, "model"] = CALIBRATION
    whole = whole.astype({"copying_p": object})
    whole.loc[[4, 5], ["copying", "copying_p"]] = "too few images"
    after = without_chance_copies(whole)
    assert barred(after) == {CALIBRATION}
    assert (after.loc[[4, 5], "copying"] == "too few images").all()


@pytest.mark.parametrize(("p", "copies"), [(0.009, False), (0.004, True)])
def test_standings_and_ranks_have_the_corrected_verdict(
    p: float, copies: bool, trained_study: StudyFolder
) -> None:
    """Two rows are audited, so .009 counts as .018."""
    table = read_league(trained_study)
    table.loc[table["model"] == "vae", ["copying", "copying_p"]] = Audit(p, False).verdict, p
    table.loc[table["model"] == "ddpm", ["copying", "copying_p"]] = NO_VERDICT, 0.5
    study = ReportedStudy(trained_study, read_study(trained_study.config), table)
    standings = {one.model: one for one in read_standings(study, "stripes")}
    assert standings["vae"].copies is copies and not standings["ddpm"].copies
    assert standings["vae"].cells["copying_p"] == p
    ranking = read_json(trained_study.ranking)["stripes"]
    shown = {row["model"]: row["beside"][0]["text"] for row in ranked_rows(ranking, table)}
    assert shown["vae"].startswith(WHOLE_VERDICT) is copies


def test_parts_are_named_beside_a_smaller_p_of_no_consequence(trained_study: StudyFolder) -> None:
    """Of the runs of a row; a verdict on whole images that may be chance is none."""
    run = read_league(trained_study).iloc[[0]]
    runs = pd.concat([run, run], ignore_index=True)
    runs["copying"], runs["copying_p"] = [NO_VERDICT, PARTS], [0.004, 0.006]
    assert mean_cells(runs)["copying"] == PARTS
    assert mean_cells(runs)["copying_p"] == 0.006


@pytest.mark.parametrize(("tie", "said"), [(False, True), (True, False)])
def test_a_sampler_that_wins_with_less_work(tie: bool, said: bool) -> None:
    """For three of three models; where one pair of rows ties, two of three are still most."""
    rows = []
    for i, model in enumerate("abc"):
        ties = {(model, "slow")} if tie and i < 2 else set()
        rows.append(standing(model, "fast", 2 + i, evaluations=20, ties=ties))
        rows.append(standing(model, "slow", 3 + i, evaluations=50))
    sentence = "fast beats slow for 3 of 3 models, with 40 % of the network evaluations."
    assert (sentence in findings(rows, 1)) is said
    assert any("beats slow" in one for one in findings(rows, 1)) is said


def test_lists_of_names() -> None:
    assert listed(["a"]) == "a"
    assert listed(["a", "b"]) == "a and b"
    assert listed(["a", "b", "c", "d"]) == "a, b, c and d"
    assert listed(list("abcdef")) == "a, b, c and 3 more rows"


def test_guidance_of_zero_tells_nothing() -> None:
    path = Path("config/config.yaml")
    settings = load_study(read_yaml(path), path.parent, path)
    assert condition_of(settings, "ldm", "dpm-10-w2") == "caption"
    assert condition_of(settings, "ddpm", "dpm-10") == "nothing"
    unguided = settings.samplers["dpm-10-w2"].model_copy(update={"guidance": 0})
    samplers = settings.samplers | {"dpm-10-w2": unguided}
    settings = settings.model_copy(update={"samplers": samplers})
    assert condition_of(settings, "ldm", "dpm-10-w2") == "nothing"


def contender(model: str, score: float, sd: float) -> Contender:
    """A row of one training whose log score has this standard deviation over sampling seeds."""
    return Contender(model, np.log([score]), np.array([sd]), np.zeros(8))


def test_a_wide_interval_makes_no_row_the_best(trained_study: StudyFolder) -> None:
    """Tiers need not follow the scores: the third row is so uncertain that no other beats it."""
    scores, spreads = [1.0, 1.2, 1.6], [0.02, 0.02, 0.5]
    ranks = rank([contender(*row) for row in zip("abc", scores, spreads, strict=True)])
    assert [one.tier for one in ranks] == [1, 2, 1]
    names = [("vae", "copier"), ("ddpm", "sure"), ("ddpm", "unsure")]
    entries = [
        {"model": model, "sampler": sampler, "fdr": score, "tier": one.tier}
        for (model, sampler), score, one in zip(names, scores, ranks, strict=True)
    ]
    assert sorted(entries, key=place) == entries
    assert best_sampler({"rows": entries[::-1]}, "ddpm") == "sure"
    league(trained_study)
    content = read_json(trained_study.ranking)
    rows = {(row["model"], row["sampler"]): row for row in content["stripes"]["rows"]}
    rows["vae", "prior"] |= {"fdr": 1.2, "tier": 2}
    rows["ddpm", "ddim-3"] |= {"fdr": 1.6, "tier": 1}
    write_json(trained_study.ranking, content)
    standings = read_standings(read_reported_study(trained_study), "stripes")
    assert [(one.model, one.tier) for one in standings] == [("vae", 2), ("ddpm", 1)]


def test_standings_of_a_study_are_those_of_its_ranking(trained_study: StudyFolder) -> None:
    league(trained_study)
    study = read_reported_study(trained_study)
    rows = read_standings(study, "stripes")
    assert {one.row for one in rows} <= {("vae", "prior"), ("ddpm", "ddim-3")}
    assert {row[1:] for row in best_rows(study)} == {("vae", "prior"), ("ddpm", "ddim-3")}
    for one in rows:
        cells = study.league.set_index(["model", "sampler"]).loc[one.row]
        assert one.fdr == float(cells["fdr"])
        assert one.number("train_seconds") == float(cells["train_seconds"])
        assert one.milliseconds == 1000 * float(cells["seconds_per_image"])
