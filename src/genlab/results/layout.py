"""The layout of the results folder: the path of every file that a stage reads or writes.

The rules in rules/ name the same paths as patterns.

results/
  data/DATASET/                      config.yaml; raw/, the downloaded files
    fetched.json                     the raw files and their checksums
    hashes.json                      the cache of these checksums
    decoded/                         the user's own pictures as decoded
    SPLIT_KIND.npy                   images, labels, factors, captions of train, test and unseen
    captions.json                    each different caption once; in tokens.npy as tokens
    tokenizer.json                   trained on the captions of training images
    manifest.json                    shapes, classes, checksum of the arrays
  mlflow.db, mlflow-artifacts/       the tracking store
  STUDY/
    study.yaml                       the resolved study
    evaluation.yaml, tracking.yaml,  one section of it each
      elbo_study.yaml
    source.txt                       the name of the study's file
    logs/, benchmarks/               what each job printed, and what Snakemake measured of it
    tensorboard/                     event files in DATASET/MODEL/seedK; rows in folders below
    sent.json, published             the tracking store; the marker that it received everything
    DATASET/
      reference/SPLIT/EXTRACTOR.npz  features of the training and of the held-out images
      elbo-study/                    the bound on probabilistic PCA, gradient estimators
      MODEL/seedK/                   one run; evaluators and `calibration` have seed 0 alone
        config.yaml                  its spec, written when a workflow starts to run
        model/                       weights, summary.json, cost.json, environment.json;
                                     at/SHARE.safetensors, where the study has learning curves
        history.jsonl                every logged step
        resume/                      checkpoints and locks; no rule knows of them
        tracking/                    STAGE.json, records for the tracking services; how much each
                                     service has received, of which no rule knows
        reconstructions/             images.npy, metrics.json, rfid.json, pairs.png
        latents/                     latents.json; figures/: interpolation, traversals ...
        trajectories/                trajectories.json; figures/: denoising, inversion ...
        curve/                       config.yaml, curve.json: quality along the training
        disentanglement.json         where the data set's factors are known
        prompts/                     config.yaml, prompts.json, kept.npy and figures/, of a model
                                     that takes prompts
        elbo.json                    where the study has an `elbo_study:`
        likelihood.json              bits/dim of the held-out images
        samples/ROW/                 config.yaml, samples.npy, requested.npy, cost.json, grid.png,
                                     features/EXTRACTOR.npz;
                                     figures/: strip.png of a sampler that takes steps
        metrics.json                 of every row
    ranking.json, .md                scores, rank intervals and tiers
    league.csv, .parquet, .md,       the table of all rows
      .tex, .html
    measurements.csv, .parquet       the same numbers, one in each line
    report/index.html

Beside each array NAME.npy lies its note NAME.npy.json: its checksum, and what it was made from.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from genlab.config.curves import share_name
from genlab.config.evaluators import CALIBRATION, CLASSIFIER, CLIP, JUDGE

RESULTS = "results"


def with_parents(path: Path) -> Path:
    """Return the path of a folder so that its parents have their names, which the layout reads.

    A path that names results/ is returned as it is, so that messages stay short.
    """
    return path if RESULTS in path.parts else Path(os.path.normpath(path.absolute()))


@dataclass(frozen=True)
class DataFolder:
    """A prepared data set."""

    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "config.yaml"

    @property
    def fetched(self) -> Path:
        """The raw files that `fetch` listed or downloaded, with their checksums."""
        return self.folder / "fetched.json"

    @property
    def hashes(self) -> Path:
        """A cache of the fetched files' checksums (`genlab.io.hashes`)."""
        return self.folder / "hashes.json"

    @property
    def decoded(self) -> Path:
        """The user's pictures as decoded (`genlab.data.decoded`); the images are links to them."""
        return self.folder / "decoded"

    @property
    def manifest(self) -> Path:
        """Shapes, classes and the SHA-256 of every array, written by `prepare`."""
        return self.folder / "manifest.json"

    def images(self, split: str) -> Path:
        """uint8 [N, C, H, W] of a split: 'train', 'test', or 'unseen', which may be empty."""
        return self.folder / f"{split}_images.npy"

    def labels(self, split: str) -> Path:
        """int64 [N]."""
        return self.folder / f"{split}_labels.npy"

    def factors(self, split: str) -> Path:
        """int64 [N, K]; K = 0 unless the manifest names `factors`."""
        return self.folder / f"{split}_factors.npy"

    def captions(self, split: str) -> Path:
        """int64 [N, K], the K captions of each image as indices into `texts`."""
        return self.folder / f"{split}_captions.npy"

    @property
    def texts(self) -> Path:
        """Every caption of the data set once; the first `known` ones are of training images."""
        return self.folder / "captions.json"

    @property
    def tokens(self) -> Path:
        """int64 [texts, L], each text in tokens, padded."""
        return self.folder / "tokens.npy"

    @property
    def tokenizer(self) -> Path:
        """The tokenizer of the training captions, as JSON of the package tokenizers."""
        return self.folder / "tokenizer.json"


@dataclass(frozen=True)
class SampleFolder:
    """One row of the league: the samples of one run by one sampler, and what was measured."""

    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "config.yaml"

    @property
    def samples(self) -> Path:
        """uint8 [N, C, H, W]."""
        return self.folder / "samples.npy"

    @property
    def grid(self) -> Path:
        return self.folder / "grid.png"

    @property
    def requested(self) -> Path:
        """int64 [N], the class that each sample was requested to be of; -1 where none was."""
        return self.folder / "requested.npy"

    @property
    def figures(self) -> Path:
        """A folder: what it holds depends on the sampler."""
        return self.folder / "figures"

    @property
    def strip(self) -> Path:
        """The predicted image from noise to sample; only for samplers that take steps."""
        return self.figures / "strip.png"

    @property
    def cost(self) -> Path:
        """Seconds per image and network evaluations per sample."""
        return self.folder / "cost.json"

    def features(self, extractor: str) -> Path:
        return self.folder / "features" / f"{extractor}.npz"

    @property
    def run(self) -> RunFolder:
        return RunFolder(self.folder.parent.parent)


@dataclass(frozen=True)
class RunFolder:
    """One run: (study, data set, model, seed)."""

    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "config.yaml"

    @property
    def model(self) -> Path:
        return self.folder / "model"

    @property
    def weights(self) -> Path:
        return self.model / "weights.safetensors"

    @property
    def summary(self) -> Path:
        """Parameters, and the losses on the held-out images."""
        return self.model / "summary.json"

    @property
    def cost(self) -> Path:
        """Seconds of training, resumed parts included; apart, since it differs each time."""
        return self.model / "cost.json"

    @property
    def environment(self) -> Path:
        """The versions of GenLab, Python and torch that trained it, and the hash of the code."""
        return self.model / "environment.json"

    @property
    def train_benchmark(self) -> Path:
        """What Snakemake measured of the job that trained it; missing outside a workflow."""
        place = self.folder.relative_to(self.study.folder)
        return self.study.folder / "benchmarks" / place / "train.tsv"

    @property
    def earlier_weights(self) -> Path:
        """The weights of earlier points of the training; empty without learning curves."""
        return self.model / "at"

    def weights_at(self, share: float) -> Path:
        """The weights after a share of the training, a model file like `weights`."""
        return (
            self.earlier_weights / f"{share_name(share)}.safetensors" if share < 1 else self.weights
        )

    @property
    def curve_config(self) -> Path:
        """The spec of the stage `curve`."""
        return self.folder / "curve" / "config.yaml"

    @property
    def curve(self) -> Path:
        """The quality of the samples at every point of the learning curve."""
        return self.folder / "curve" / "curve.json"

    @property
    def history(self) -> Path:
        return self.folder / "history.jsonl"

    @property
    def resume(self) -> Path:
        """Checkpoints and locks; below the folder GENLAB_RESUME if the environment names one, for
        jobs whose own folder is gone after them.
        """
        if folder := os.environ.get("GENLAB_RESUME"):
            return Path(folder) / self.folder.relative_to(self.study.results)
        return self.folder / "resume"

    @property
    def outbox(self) -> Path:
        """Records for the tracking services, and how much of them each service has received."""
        return self.folder / "tracking"

    @property
    def metrics(self) -> Path:
        """The metrics of every row in every extractor's features."""
        return self.folder / "metrics.json"

    @property
    def reconstructions(self) -> Path:
        return self.folder / "reconstructions"

    @property
    def reconstructed(self) -> Path:
        """uint8 [N, C, H, W], the reconstructions of all held-out images."""
        return self.reconstructions / "images.npy"

    @property
    def rfid(self) -> Path:
        """The FID of the reconstructions, by extractor."""
        return self.reconstructions / "rfid.json"

    @property
    def latents(self) -> Path:
        """The latent space: latents.json, which describes the rows of the figures beside it."""
        return self.folder / "latents"

    @property
    def latent_figures(self) -> Path:
        """A folder: which figures it holds depends on the latent space."""
        return self.latents / "figures"

    @property
    def trajectories(self) -> Path:
        """Paths between noise and image: trajectories.json, and the figures that it describes."""
        return self.folder / "trajectories"

    @property
    def trajectory_figures(self) -> Path:
        return self.trajectories / "figures"

    @property
    def prompts(self) -> Path:
        """Results of a model that takes prompts: prompts.json, and the figures it describes."""
        return self.folder / "prompts"

    @property
    def prompts_config(self) -> Path:
        """The spec of the stage `prompts`: what it measures, and with which sampler."""
        return self.prompts / "config.yaml"

    @property
    def kept(self) -> Path:
        """uint8 [N, C, H, W], the best candidate for each prompt that the page shows."""
        return self.prompts / "kept.npy"

    @property
    def prompt_figures(self) -> Path:
        return self.prompts / "figures"

    @property
    def disentanglement(self) -> Path:
        """MIG, DCI and the matrices [factors, latents] from which they are computed."""
        return self.folder / "disentanglement.json"

    @property
    def likelihood(self) -> Path:
        """Bits/dim of the held-out images, for every kind of bound the family has."""
        return self.folder / "likelihood.json"

    def samples(self, row: str) -> SampleFolder:
        return SampleFolder(self.folder / "samples" / row)

    @property
    def dataset(self) -> str:
        return self.folder.parent.parent.name

    @property
    def elbo(self) -> Path:
        """The decomposed bound of a VAE."""
        return self.folder / "elbo.json"

    @property
    def model_name(self) -> str:
        return self.folder.parent.name

    @property
    def study(self) -> StudyFolder:
        return StudyFolder(self.folder.parent.parent.parent)

    @property
    def data(self) -> DataFolder:
        return self.study.data(self.dataset)


@dataclass(frozen=True)
class StudyFolder:
    """One study."""

    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "study.yaml"

    @property
    def source(self) -> Path:
        """Names the study file that the results were made from."""
        return self.folder / "source.txt"

    @property
    def evaluation(self) -> Path:
        """The study's `evaluation:` alone: no other change of the study repeats the metrics."""
        return self.folder / "evaluation.yaml"

    @property
    def tracking(self) -> Path:
        return self.folder / "tracking.yaml"

    @property
    def elbo_study_config(self) -> Path:
        """The study's `elbo_study:` alone, if it has one."""
        return self.folder / "elbo_study.yaml"

    def elbo_study(self, dataset: str) -> Path:
        """The folder of the ELBO experiments on a data set that need no trained model."""
        return self.folder / dataset / "elbo-study"

    @property
    def results(self) -> Path:
        return self.folder.parent

    def data(self, dataset: str) -> DataFolder:
        return DataFolder(self.results / "data" / dataset)

    def run(self, dataset: str, model: str, seed: int | str) -> RunFolder:
        return RunFolder(self.folder / dataset / model / f"seed{seed}")

    def classifier(self, dataset: str) -> RunFolder:
        """The domain classifier of a data set is a run like any other."""
        return self.run(dataset, CLASSIFIER, 0)

    def clip(self, dataset: str) -> RunFolder:
        """The CLIP model that ranks pictures, in studies with models that take prompts."""
        return self.run(dataset, CLIP, 0)

    def judge(self, dataset: str) -> RunFolder:
        """The classifier of a picture's factors; no model and no ranking uses it."""
        return self.run(dataset, JUDGE, 0)

    def calibration_row(self, dataset: str, kind: str) -> SampleFolder:
        """A calibration row, which lies where samples lie but belongs to no model."""
        return self.run(dataset, CALIBRATION, 0).samples(kind)

    def reference(self, dataset: str, split: str) -> Path:
        """The folder with the features of a split, EXTRACTOR.npz."""
        return self.folder / dataset / "reference" / split

    @property
    def published(self) -> Path:
        """A marker: the tracking services have received everything."""
        return self.folder / "published"

    @property
    def tensorboard(self) -> Path:
        """TensorBoard's event files, a folder for each run and each of its rows."""
        return self.folder / "tensorboard"

    @property
    def sent(self) -> Path:
        """The tracking store that has received everything, and how many stores there were."""
        return self.folder / "sent.json"

    @property
    def ranking(self) -> Path:
        """Scores, rank intervals and tiers of all rows, by data set."""
        return self.folder / "ranking.json"

    @property
    def ranking_markdown(self) -> Path:
        return self.folder / "ranking.md"

    @property
    def league(self) -> Path:
        return self.folder / "league.csv"

    @property
    def league_markdown(self) -> Path:
        return self.folder / "league.md"

    @property
    def league_parquet(self) -> Path:
        """The numbers as float64, and beside each the reason where there is none."""
        return self.folder / "league.parquet"

    @property
    def league_latex(self) -> Path:
        """A table for each data set and extractor."""
        return self.folder / "league.tex"

    @property
    def league_html(self) -> Path:
        """A page with one sortable table."""
        return self.folder / "league.html"

    @property
    def measurements(self) -> Path:
        """One line for each number of the league: what it measures, on what, and its interval."""
        return self.folder / "measurements.csv"

    @property
    def measurements_parquet(self) -> Path:
        return self.folder / "measurements.parquet"

    @property
    def report(self) -> Path:
        return self.folder / "report" / "index.html"
