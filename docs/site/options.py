"""Tables of all options, from the typed configurations and the docstrings under their keys."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import annotated_types as limits
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from genlab.config.curves import CurvesConfig
from genlab.config.elbo_study import ElboStudyConfig
from genlab.config.evaluators import evaluators
from genlab.config.explanations import explanation
from genlab.config.families import FamilyConfig, family_class, family_names
from genlab.config.prompts import PromptsConfig
from genlab.config.samplers import SAMPLERS
from genlab.config.sources import source_class, source_names
from genlab.config.study import EvaluationConfig, TrainingConfig
from genlab.config.study.schema import LikelihoodConfig, StudyFile, TrackingConfig

Config = type[BaseModel]

STUDY: dict[Config, str] = {
    StudyFile: "",
    TrainingConfig: "training",
    EvaluationConfig: "evaluation",
    LikelihoodConfig: "likelihood",
    CurvesConfig: "curves",
    ElboStudyConfig: "elbo_study",
    PromptsConfig: "prompts",
    TrackingConfig: "tracking",
}
"""The parts of a study file, and the key that each stands under."""
WORDS = {
    int: "whole number",
    float: "number",
    str: "text",
    bool: "true or false",
    type(None): "null",
    Any: "any value",
}
KINDS = ("family", "sampler", "source", "backbone")
RANGES = {"gt": "> {}", "ge": "≥ {}", "lt": "< {}", "le": "≤ {}", "multiple_of": "a multiple of {}"}
HEAD = ["| key | type | default | range | explanation |", "|---|---|---|---|---|"]


def prose(text: str) -> str:
    """Plain text as one line of Markdown, for a cell of a table."""
    parts = re.split(r"(`[^`]*`)", " ".join(text.split()))
    parts[::2] = [re.sub(r"([\\*_<>$\[\]{}~])", r"\\\1", part) for part in parts[::2]]
    return "".join(parts).replace("|", "\\|")


def code(text: str) -> str:
    """Text as code in a cell of a table."""
    return f"`{text}`".replace("|", "\\|")


def members(annotation: Any) -> list[Any]:
    """The arguments of a type without what only annotates it."""
    if typing.get_origin(annotation) is typing.Annotated:
        return [typing.get_args(annotation)[0]]
    return list(typing.get_args(annotation))


def configs_in(annotation: Any) -> list[Config]:
    """The configurations that a type holds."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [config for member in members(annotation) for config in configs_in(member)]


def kind_of(annotation: Any) -> str:
    """A type in words."""
    if annotation in WORDS:
        return WORDS[annotation]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"[{annotation.__name__}](#{anchor(annotation)})"
    inner = members(annotation)
    origin = typing.get_origin(annotation)
    if origin is typing.Literal:
        return ", ".join(code(str(value)) for value in inner)
    words = [kind_of(member) for member in inner if member is not Ellipsis]
    if origin is dict:
        return f"mapping of {' to '.join(words)}"
    if origin is tuple:
        return f"list of {words[0]}" if inner[-1] is Ellipsis else f"{len(inner)} of {words[0]}"
    return " or ".join(words)  # of a union, or the one type that is annotated


def bounds(metadata: Iterable[Any]) -> list[str]:
    """The limits that `metadata` sets, in words."""
    texts = []
    for one in metadata:
        if isinstance(one, FieldInfo):
            texts += bounds(one.metadata)
        elif isinstance(one, limits.MinLen):
            texts.append(f"at least {one.min_length} long" if one.min_length else "may be empty")
        elif isinstance(one, limits.MaxLen):
            texts.append(f"at most {one.max_length} long")
        elif pattern := getattr(one, "pattern", None):
            texts.append(f"matches {code(pattern)}")
        else:
            for name, words in RANGES.items():
                value = getattr(one, name, None)
                if value is not None:
                    texts.append(words.format(f"{value:,}".replace(",", " ")))
    return texts


def range_of(annotation: Any, metadata: Iterable[Any]) -> list[str]:
    """All limits of a value and, in a list, of its items."""
    texts = bounds(metadata)
    if typing.get_origin(annotation) is typing.Annotated:
        inner, *more = typing.get_args(annotation)
        return texts + range_of(inner, more)
    for member in members(annotation):
        if member is not Ellipsis and typing.get_origin(annotation) is not typing.Literal:
            texts += range_of(member, ())
    return list(dict.fromkeys(texts))


def in_words(texts: list[str]) -> str:
    """Limits as one text: a least and a greatest value become '1 to 8'."""
    text = "; ".join(texts)
    return re.sub(r"≥ ([^;<>]+); ≤ ([^;<>]+)", r"\1 to \2", text)


def default_of(field: FieldInfo) -> str:
    """A default as a study file would say it."""
    if field.is_required():
        return "**required**"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return "its defaults"
    if value is PydanticUndefined or value == "":
        return "empty"
    plain = list(value) if isinstance(value, tuple) else value
    text = yaml.safe_dump(plain, default_flow_style=True, width=10**6).removesuffix("\n...\n")
    return code(text.strip())


def anchor(config: Config) -> str:
    """The anchor of a configuration's table."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", config.__name__)
    return f"options-{words.lower()}"


def table(config: Config) -> str:
    """The table of a configuration's keys."""
    rows = []
    for key, field in config.model_fields.items():
        text = explanation(config, key)
        if key in KINDS and not text:
            text = f"Name of the {key}; it decides which other keys there are."
        if not text:
            (text, *_) = [*(own.__doc__ or "" for own in configs_in(field.annotation)), ""]
        cells = [
            f"{code(key)}{{#{anchor(config)}-{key}}}",
            kind_of(field.annotation),
            default_of(field),
            in_words(range_of(field.annotation, field.metadata)),
            prose(text),
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join([*HEAD, *rows])


def block(config: Config, title: str, *text: str) -> str:
    """A heading, what the configuration is, and its table."""
    return "\n\n".join([f"({anchor(config)})=\n\n## {title}", *text, table(config)])


def about(config: Config) -> str:
    """The docstring of a configuration."""
    return prose(config.__doc__ or "")


def presets_of(root: Path) -> dict[str, list[str]]:
    """Names of the presets of each family."""
    files = sorted((root / "config/models").glob("*.yaml"))
    values = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in files}

    def family(name: str) -> str:
        if name not in values:  # a preset may build on a family
            return name
        return str(values[name].get("family") or family(values[name]["preset"]))

    presets: dict[str, list[str]] = {}
    for name in values:
        presets.setdefault(family(name), []).append(name)
    return presets


def parts(shown: Iterable[Config]) -> list[Config]:
    """The configurations that are values of the keys of others, and have no table yet."""
    configs = dict.fromkeys(shown)
    queue = list(configs)
    while queue:
        for field in queue.pop().model_fields.values():
            for config in configs_in(field.annotation):
                if config not in configs:
                    configs[config] = None
                    queue.append(config)
    return list(configs)


def page(title: str, lead: str, blocks: Iterable[str]) -> str:
    """A page of tables."""
    return "\n\n".join([f"# {title}", lead, *blocks]) + "\n"


def evaluator_page() -> str:
    """The table of the evaluators, which have no keys of their own in a study."""
    head = ["name", "trained by the study", "features for metrics", "explanation"]
    rows = [f"| {' | '.join(head)} |", "|---|---|---|---|"]
    for name, one in sorted(evaluators().items()):
        facts = ["yes" if fact else "no" for fact in (one.trained, one.extracts)]
        text = prose(one.explanation or type(one).__doc__ or "")
        rows.append(f"| {code(name)} | {' | '.join(facts)} | {text} |")
    lead = (
        "What the models of a study are measured by. Names with features go into "
        "`evaluation.extractors`. Those that a study trains are models too, and the section "
        "`evaluation` (or `prompts`) changes their training under a key of their name."
    )
    return page("Evaluators", lead, ["\n".join(rows)])


def pages(root: Path) -> dict[str, str]:
    """The pages of the option tables by name."""
    families = {name: family_class(name) for name in family_names()}
    sources = {name: source_class(name) for name in source_names()}
    presets = presets_of(root)
    tables = [*STUDY, *families.values(), *SAMPLERS.values(), *sources.values()]
    nested = [config for config in parts(tables) if config not in tables]

    def family(name: str, config: type[FamilyConfig]) -> str:
        names = ", ".join(map(code, presets.get(name, []))) or "none, only the family's defaults"
        module = config.implementation.partition(":")[0]
        return block(
            config, name, about(config), f"Presets: {names}. Implementation: {{py:obj}}`{module}`."
        )

    return {
        "reference/options/study": page(
            "Options of a study",
            "A study is a YAML file, such as `config/config.yaml`. Each section below is a part of "
            "it. An unknown key is an error that names the closest valid key.",
            [
                block(config, f"`{key}:`" if key else "The file", about(config))
                for config, key in STUDY.items()
            ],
        ),
        "reference/options/families": page(
            "Options of the families",
            "Keys of an entry of `models:`, such as `{preset: ddpm, schedule: cosine}`, of a file "
            "in `config/models`, and of `genlab.fit`. Keys of `training:` may stand beside them.",
            [family(name, config) for name, config in families.items()],
        ),
        "reference/options/samplers": page(
            "Options of the samplers",
            "Keys of an entry of `samplers:`, such as `{sampler: ddim, steps: 50}`, and of "
            "`genlab.sample`.",
            [block(config, name, prose(config.explanation)) for name, config in SAMPLERS.items()],
        ),
        "reference/options/sources": page(
            "Options of the data sources",
            "Keys of a file in `config/datasets`, and of `genlab.load_data`.",
            [block(config, name, about(config)) for name, config in sources.items()],
        ),
        "reference/options/evaluators": evaluator_page(),
        "reference/options/parts": page(
            "Options of the networks",
            "Values of keys above that have keys of their own.",
            [block(config, config.__name__, about(config)) for config in nested],
        ),
    }
