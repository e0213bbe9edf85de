"""Which stages a change of each module redoes: the whole table, by rules of package and family."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from genlab.config.base import read_yaml
from genlab.config.evaluators import extractor, extractors
from genlab.config.samplers import SAMPLERS
from genlab.config.study import Study, load_study
from genlab.results import code
from genlab.results.spec import curve_spec, prompts_spec, run_spec
from genlab.results.stages import STAGES, roots, stage_code, study_jobs, training_code

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "config"
STUDIES = {
    path.stem: read_yaml(path)
    for path in (CONFIG / "config.yaml", *sorted((CONFIG / "studies").glob("*.yaml")))
    if not path.stem.startswith("pictures")  # whose files are the user's own
} | {
    "sources": {
        "name": "sources",
        "datasets": ["cifar10", "celeba"],
        "models": ["dvae"],
        "samplers": {"prior": {"sampler": "prior"}},
        "evaluation": {"samples": 4096, "extractors": list(extractors())},
    }
}  # fmt: skip
PACKAGES = ("models", "nn", "processes", "samplers", "training", "sampling", "data", "evaluation",
            "report", "workflow")  # fmt: skip

MEASURING = {"features", "reference_features", "evaluate", "rfid"}
OF_MODEL = {
    *("train", "sample", "reconstruct", "trajectories", "likelihood", "explore", "disentangle"),
    *("prompts", "curve", "elbo"),
}
NETWORKS = OF_MODEL | MEASURING | {"elbo_study"}
PICTURES = {"league", "report"}

# The stages that a change in a package may redo, and those that a change of each of its modules
# redoes at least. The longest name that fits counts.
AT_MOST = {
    "models": NETWORKS,
    "nn": NETWORKS,
    "processes": NETWORKS - MEASURING,
    "samplers": {
        "train",
        "sample",
        "reconstruct",
        "trajectories",
        "likelihood",
        "prompts",
        "curve",
    },
    "training": {"train"},
    "sampling": {"sample", "reconstruct", "trajectories", "explore", "prompts", "curve"},
    "evaluation": MEASURING
    | {"likelihood", "disentangle", "prompts", "elbo", "elbo_study", "curve"},
    "evaluation.elbo": {"elbo", "elbo_study"},
    "evaluation.disentanglement": {"disentangle"},
    "evaluation.linear_probe": {"explore"},
    "evaluation.regression": {"evaluate", "explore"} | PICTURES,
    "evaluation.reconstruction": {"reconstruct"},
    "evaluation.classes": {"evaluate", "report"},
    "evaluation.memorisation": {"evaluate", "curve"} | PICTURES,
    "evaluation.memorisation.neighbours": {"evaluate"} | PICTURES,
    "evaluation.metrics": {"evaluate"} | PICTURES,
    "evaluation.metrics.fid": {"evaluate", "rfid", "curve"} | PICTURES,
    "evaluation.metrics.kid": {"evaluate", "curve"} | PICTURES,
    "evaluation.learning_curve": {"curve"},
    "evaluation.fd_ratio": {"rank"},
    "evaluation.ranking": {"rank"} | PICTURES,
    "evaluation.intervals": {"evaluate", "rfid", "curve", "rank"} | PICTURES,
    "evaluation.root_trace": {"evaluate", "rfid", "curve", "rank"} | PICTURES,
    **{
        f"evaluation.{module}": {"evaluate"} | PICTURES
        for module in (
            "accuracy_score",
            "array_cache",
            "gaussian_mmd",
            "jackknife",
            "neighbours",
            "sliced_wasserstein",
        )
    },
    "evaluation.prompts": {"prompts"},
    "report": PICTURES,
    "report.page": {"report"},
    "report.sections": {"report"},
    "data": NETWORKS | {"fetch", "prepare", "calibrate"},
    "data.pictures": NETWORKS | {"calibrate", "report"},
    "data.sources": {"fetch", "prepare"},
    "data.reading": {"fetch", "prepare"},
    "data.calibration": {"calibrate", "rfid"},
    "data.randomness": NETWORKS | {"fetch", "prepare", "calibrate", "rank"} | PICTURES,
    "workflow": {*STAGES, "reference_features"},
}
AT_LEAST = {"training": {"train"}, "data.sources": {"fetch", "prepare"}, "report.league": PICTURES}

# Modules that no stage runs: those of `genlab draw` and `verify-row`, and what planning counts.
BY_HAND = {"sampling.prompting", "sampling.image_to_image", "data.vocabulary", "workflow.sizes",
           "workflow.verify", "workflow.compare", "report.published"}  # fmt: skip

# What else the code of a family decides: the families built with it, and the stages that use it as
# the evaluator that it is.
USED_BY_FAMILIES = {
    "vae": {"beta_vae", "cheater"},
    "ddpm": {"latent_diffusion"},
    "kl_autoencoder": {"latent_diffusion"},
    "classifier": {"kl_autoencoder", "latent_diffusion", "cheater"},
}
USED_BY_STAGES = {
    "classifier": (MEASURING - {"evaluate"}) | {"curve"},
    "contrastive": (MEASURING - {"evaluate"}) | {"curve"},
    "autoencoder_latent": (MEASURING - {"evaluate"}) | {"curve"},
    "vae": {"elbo"},
    "clip": {"prompts"},
    "judge": {"prompts"},
}
USED_BY_SAMPLERS = {
    "ddpm": {"ddim", "dpm_solver", "predictor_corrector"},
    "euler_maruyama": {"predictor_corrector"},
}


EXTRACTORS = {evaluator.key for evaluator in extractors().values()}


class Job(NamedTuple):
    """A job of a study, with the names of what is found by its name, and the modules it runs."""

    study: str
    stage: str
    source: str
    families: frozenset[str]
    sampler: str
    extractors: frozenset[str]
    modules: frozenset[str]


@functools.cache
def studies() -> dict[str, Study]:
    return {name: load_study(values, CONFIG, name) for name, values in STUDIES.items()}


def families(study: Study, model: str) -> Iterator[str]:
    """The family of a model, and those of the models below it."""
    config = study.entry(model).model
    yield config.family
    if config.first_stage_name:
        yield from families(study, config.first_stage_name)


def drawn_by(stage: str, study: Study, job: Mapping[str, Any]) -> str:
    """The sampler that a job of the stages `sample`, `prompts` and `curve` draws by."""
    if stage == "sample":
        return study.samplers[job["row"]].sampler
    if stage == "curve":
        curve = curve_spec(study, study.models[job["model"]], 0)
        assert curve is not None
        return curve.sampler.sampler
    spec = prompts_spec(study, study.models[job["model"]], 0) if stage == "prompts" else None
    return spec.sampler.sampler if spec else ""


@functools.cache
def jobs() -> list[Job]:
    """Every job of every study, but those of `publish`."""
    return [
        Job(
            name,
            stage,
            study.datasets[job["dataset"]].source if "dataset" in job else "",
            frozenset(families(study, job["model"]) if stage in OF_MODEL else ()),
            drawn_by(stage, study, job).replace("-", "_"),
            frozenset(extractor(one).key for one in study.evaluation.extractors),
            frozenset(
                module.removeprefix("genlab.")
                for module in code.modules(
                    roots("features" if stage == "reference_features" else stage, study, job)
                )
            ),
        )
        for name, study in studies().items()
        for stage, places in study_jobs(study).items()
        if stage != "publish"
        for job in places
    ]


def touched(module: str) -> set[Job]:
    return {job for job in jobs() if module in job.modules}


def modules(*packages: str) -> list[str]:
    """The modules of `packages` and of the packages in them, without `genlab.`."""
    folder = code.PACKAGE
    return [
        ".".join(path.relative_to(folder).with_suffix("").parts)
        for package in packages
        for path in sorted((folder / package).rglob("*.py"))
        if path.name != "__init__.py"
    ]


def rule(table: dict[str, set[str]], module: str) -> set[str]:
    """The stages that `table` names for the closest package around a module, or for itself."""
    parts = module.split(".")
    names = (".".join(parts[:end]) for end in range(len(parts), 0, -1))
    return next((table[name] for name in names if name in table), set())


def test_every_package_counts_or_is_known_not_to() -> None:
    """And all that the table names is there."""
    packages = {path.parent.name for path in code.PACKAGE.glob("*/__init__.py")}
    assert packages - {*PACKAGES} == code.UNCOUNTED - {"errors"}
    for stage in STAGES.values():
        assert stage.module in code.modules([stage.module])


@pytest.mark.parametrize("module", modules(*PACKAGES))
def test_a_change_of_a_module_redoes_stages_of_its_own_part_of_the_house(module: str) -> None:
    stages = {job.stage for job in touched(module)}
    assert stages <= rule(AT_MOST, module)
    assert stages >= rule(AT_LEAST, module) - ({"fetch", "prepare"} if not stages else set())
    assert stages or module in BY_HAND or module.startswith("data.")


@pytest.mark.parametrize("module", modules("data"))
def test_every_module_of_data_is_run_by_a_source_or_a_stage(module: str) -> None:
    """Sources that no study here has are asked by their names."""
    sources = code.modules(["genlab.data.sources.*"])
    assert touched(module) or f"genlab.{module}" in sources or module in BY_HAND


@pytest.mark.parametrize("source", ["digits", "sprites", "scenes", "torchvision", "celeba"])
def test_a_source_is_the_code_of_its_own_data_sets(source: str) -> None:
    """The scenes are made of the digits."""
    stages = {job.stage for job in touched(f"data.sources.{source}")}
    sources = {job.source for job in touched(f"data.sources.{source}")}
    assert stages == {"fetch", "prepare"}
    assert sources == {source} | ({"scenes"} if source == "digits" else set())


FAMILIES = sorted({family for study in studies().values() for model in
                   [*study.models, *study.evaluators]
                   for family in families(study, model)})  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_is_the_code_of_its_own_models_and_of_those_built_on_it(family: str) -> None:
    related = {family} | USED_BY_FAMILIES.get(family, set())
    expected = {
        job
        for job in jobs()
        if job.families & related
        or (
            job.stage in USED_BY_STAGES.get(family, set())
            and (family in job.extractors or family not in EXTRACTORS)
        )
    }
    assert touched(f"models.{family}") == expected


@pytest.mark.parametrize("sampler", [m.rpartition(".")[2] for m in modules("samplers")])
def test_a_sampler_is_the_code_of_its_own_rows(sampler: str) -> None:
    """Of the walks as well if it is deterministic; of the prompts if it is the one that draws."""
    related = {sampler} | USED_BY_SAMPLERS.get(sampler, set())
    deterministic = {
        name.replace("-", "_") for name, kind in SAMPLERS.items() if kind.deterministic
    }
    inpainting = {"ddpm"}  # the walks complete pictures by its posterior
    teacher = {"flow_matching"} if sampler == "heun" else set()  # of reflow
    for job in jobs():
        used = job.sampler in related
        if job.stage == "trajectories":
            used = bool(related & (deterministic | inpainting))
        if job.families & teacher:
            used = True
        assert (f"samplers.{sampler}" in job.modules) == used, job._replace(modules=frozenset())


def test_the_spacing_of_steps_extracts_no_features() -> None:
    assert not {job.stage for job in touched("processes.gaussian")} & MEASURING


def test_a_run_s_record_has_the_hash_that_its_rule_has() -> None:
    for study in studies().values():
        for job in study_jobs(study)["train"]:
            spec = run_spec(study, job["dataset"], study.entry(job["model"]), job["seed"])
            assert training_code(spec) == stage_code("train", study, job)


def test_configuration_messages_and_tracking_decide_no_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every module of the packages that don't count is changed, and no hash of any job."""

    def hashes() -> list[str]:
        code._source.cache_clear()
        code.code.cache_clear()
        return [
            stage_code(stage, study, job)
            for study in studies().values()
            for stage, places in study_jobs(study).items()
            if stage in STAGES
            for job in places
        ]

    package = tmp_path / "genlab"
    shutil.copytree(code.PACKAGE, package)
    monkeypatch.setattr(code, "PACKAGE", package)
    before = hashes()
    changed = [path for name in code.UNCOUNTED for path in (package / name).rglob("*.py")]
    assert len(changed) > 40
    for path in (*changed, package / "errors.py", package / "__init__.py"):
        path.write_text(f"{path.read_text()}\nNEW = 1\n")
    assert hashes() == before
    counted = package / "data" / "randomness.py"
    counted.write_text(f"{counted.read_text()}\nNEW = 1\n")
    assert hashes() != before
    code._source.cache_clear()
    code.code.cache_clear()
