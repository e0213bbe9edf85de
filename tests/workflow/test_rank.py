"""The stage `rank`, and the page's table of ranks, on the tiny study."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tiny import TEST, TRAIN, write_costs

from genlab.config.families.vae import VAEConfig
from genlab.config.study import Study
from genlab.evaluation.fd_ratio import Ratio, real_distance
from genlab.evaluation.metrics.fid import frechet
from genlab.evaluation.ranking import Rank
from genlab.io.files import read_json, write_json
from genlab.report.league import read_league
from genlab.report.page import render_section
from genlab.report.ranking import UNKNOWN, ranked_rows, ranking_markdown
from genlab.report.sections.ranking import RankingSection
from genlab.report.study import read_reported_study
from genlab.results.layout import StudyFolder
from genlab.results.spec import read_study
from genlab.workflow.league import league
from genlab.workflow.rank import _contradiction, _score, _Space, rank_rows, spaces_of_losses
from genlab.workflow.report import report


class _Perceptual(VAEConfig):
    """A VAE with a loss in the classifier's features."""

    @property
    def trained_on(self) -> tuple[str, ...]:
        return ("classifier",)


def features(at: StudyFolder, model: str, row: str) -> np.ndarray:
    path = at.run("stripes", model, 0).samples(row).features("classifier")
    return np.asarray(np.load(path)["features"])


def real_features(at: StudyFolder, split: str) -> np.ndarray:
    return np.asarray(np.load(at.reference("stripes", split) / "classifier.npz")["features"])


def test_a_score_is_the_distance_to_held_out_images_over_that_of_real_ones(
    trained_study: StudyFolder,
) -> None:
    at = trained_study
    content = read_json(at.ranking)["stripes"]
    rows = {(row["model"], row["sampler"]): row for row in content["rows"]}
    training, held_out = real_features(at, "train"), real_features(at, "test")
    samples = read_study(at.config).evaluation.samples
    for model, row in (("vae", "prior"), ("ddpm", "ddim-3")):
        distance = frechet(features(at, model, row), held_out)
        expected = distance / real_distance(held_out, training, samples)
        # float64 by another decomposition
        assert rows[model, row]["fdr"] == pytest.approx(expected, rel=1e-6)
        assert rows[model, row]["ratios"] == {"classifier": pytest.approx(expected, rel=1e-6)}
    real = frechet(features(at, "calibration", "real"), training)
    expected = real / real_distance(training, held_out, samples)
    assert rows["calibration", "real"]["fdr"] == pytest.approx(expected, rel=1e-6)
    assert "tier" not in rows["calibration", "real"]


def test_the_ratios_of_the_spaces_multiply_to_the_score() -> None:
    """FDr is their geometric mean, whatever the seeds scored; spaces that don't rank are shown."""
    none = np.zeros(2)
    values = ({"a": 2.0, "b": 30.0, "c": 5.0}, {"a": 4.0, "b": 1.5, "c": 7.0})
    runs = [{name: Ratio(value, none, none) for name, value in run.items()} for run in values]
    score = _score("model", runs, ["a", "b"])
    assert score["ratios"] == pytest.approx({"a": 8**0.5, "b": 45**0.5, "c": 35**0.5})
    assert score["fdr"] == pytest.approx((score["ratios"]["a"] * score["ratios"]["b"]) ** 0.5)


def test_no_more_samples_are_compared_than_there_are_other_real_images(
    trained_study: StudyFolder,
) -> None:
    """A hundred samples of a study with 96 training and 64 held-out images; the first ones."""
    at = trained_study
    settings = read_study(at.config)
    evaluation = settings.evaluation

    def space(samples: int) -> _Space:
        changed = evaluation.model_copy(update={"samples": samples})
        update = {"evaluation": changed}
        result = _Space.read(at, "stripes", "classifier", settings.model_copy(update=update))
        assert result is not None
        return result

    assert space(100).compared == {"test": TRAIN, "train": TEST}
    few = space(evaluation.samples - 4)
    first = features(at, "vae", "prior")[: evaluation.samples - 4]
    training, held_out = real_features(at, "train"), real_features(at, "test")
    expected = frechet(first, held_out) / real_distance(held_out, training, len(first))
    assert few.ratio("vae", 0, "prior").value == pytest.approx(expected, rel=1e-6)
    assert read_json(at.ranking)["stripes"]["samples"] == evaluation.samples


def test_one_seed_says_nothing_about_training(trained_study: StudyFolder) -> None:
    content = read_json(trained_study.ranking)["stripes"]
    assert content["seeds"] == 1
    assert {row["sd_training"] for row in content["rows"]} == {None}
    rows = ranked_rows(content, read_league(trained_study))
    assert {row["spreads"][0] for row in rows} == {UNKNOWN}


def test_the_page_shows_models_by_score_and_calibration_rows_last(
    trained_study: StudyFolder,
) -> None:
    at = trained_study
    content = read_json(at.ranking)["stripes"]
    table = read_league(at)
    rows = ranked_rows(content, table)
    order = [row["calibration"] for row in rows]
    assert order == sorted(order)
    models = [row for row in rows if not row["calibration"]]
    assert [row["fdr"] for row in models] == sorted(row["fdr"] for row in models)
    text = ranking_markdown(content, table)
    assert text.count("\n") == 2 + len(rows)
    write_costs(at)
    league(at)
    report(at)
    page = at.report.read_text()
    assert "Ranks of all rows" in page
    assert "One training seed tells nothing" in page


def test_the_page_names_the_spaces_that_contradict_each_other(trained_study: StudyFolder) -> None:
    """In a column of its own, so that no reader needs a mouse; without contradictions, in none."""

    def shown() -> str:
        study = read_reported_study(trained_study)
        return render_section(RankingSection(), study)

    league(trained_study)
    assert "contradiction" not in shown()
    content = read_json(trained_study.ranking)
    row = next(row for row in content["stripes"]["rows"] if row["model"] == "ddpm")
    row["contradiction"] = ["classifier", "low-level"]
    write_json(trained_study.ranking, content)
    assert '<th scope="col" class="words">contradiction</th>' in shown()
    assert '<td class="words">classifier – low-level</td>' in shown()
    assert "title=" not in shown()


def test_the_league_repeats_the_ranks(trained_study: StudyFolder) -> None:
    table = read_league(trained_study).set_index(["model", "sampler"])
    for row in read_json(trained_study.ranking)["stripes"]["rows"]:
        cells = table.loc[(row["model"], row["sampler"])]
        assert cells["fdr"] == row["fdr"]
        assert cells["tier"] == row.get("tier", "not ranked")


def test_a_study_that_could_not_be_ranked_says_so(trained_study: StudyFolder) -> None:
    content = read_json(trained_study.ranking)
    write_json(trained_study.ranking, {"stripes": {**content["stripes"], "rows": []}})
    assert set(pd.Series(read_league(trained_study)["tier"])) == {"too few images"}


def test_a_space_that_a_model_trained_on_ranks_nothing(trained_study: StudyFolder) -> None:
    """A perceptual loss in the classifier's features, also where a second stage builds on it."""
    settings = read_study(trained_study.config)
    assert spaces_of_losses(settings) == {}
    vae = settings.models["vae"]
    cheating = vae.model_copy(update={"model": _Perceptual.model_validate(vae.model.model_dump())})
    study: Study = settings.model_copy(update={"models": {**settings.models, "vae": cheating}})
    assert spaces_of_losses(study) == {"classifier": ["vae"]}


def test_ranks_that_exclude_each_other_are_a_contradiction() -> None:
    places = {"a": Rank(1, 1, 2, ()), "b": Rank(1, 2, 4, ()), "c": Rank(3, 5, 6, ())}
    assert _contradiction(places) == ["a", "c"]
    assert _contradiction({"a": places["a"], "b": places["b"]}) is None
    assert _contradiction({}) is None


def test_ranking_twice_gives_the_same_bytes(trained_study: StudyFolder) -> None:
    before = trained_study.ranking.read_bytes()
    rank_rows(trained_study)
    assert trained_study.ranking.read_bytes() == before
