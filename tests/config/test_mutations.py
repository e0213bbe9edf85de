"""Whatever stands in a study, data set or model file: a study, or a message without a traceback."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from genlab.config.base import read_yaml
from genlab.config.study import Study, load_study
from genlab.errors import GenLabError

CONFIG = Path(__file__).parents[2] / "config"
STUDY = """
name: mine
description: Anything.
datasets: [sprites]
models:
  - vae
  - {preset: ddpm, name: another, network: {channels: 8}, training: {ema: 0.5}}
seeds: [0, 1]
samplers:
  prior: {sampler: prior}
  ddim-3: {sampler: ddim, steps: 3}
training: {images: 1280}
evaluation:
  samples: 128
  extractors: [classifier]
  calibration: [real, noise]
  classifier: {images: 2560}
likelihood: {path_images: 8}
elbo_study:
  bounds: {images: 4, samples: [1, 10], draws: 20}
  annealing: {images: 4}
prompts: {guidance: [1, 2], clip: {images: 1280}}
tracking: {wandb: "off"}
"""
JARGON = re.compile(
    r"Traceback|<class|<[a-z_.]+ object|NoneType|OrderedDict|datetime|validation error|"
    r"Input should|unhashable|errors\.pydantic|\bdict\b|\btuple\b|\bstr\b|recursion"
)
ODD_SCALARS = [
    "", "~", "true", "off", "5", "-1", "0", "1e30", "1e308", "1e-320", ".inf", ".nan", "0x1f",
    "0o17", "1_000", "5.5", "'5'", "5000000000", 5000 * "9", "2024-13-45", "12:30:45", "abc", "''",
    "' '", '"\\0"', '"\\uD800"', '"\\U0001F600"', "é", "../../etc/passwd", "/", "{name:d}", "'{0}'",
    "vae", "ddpm", "unet", "dit", "classifier", "prior", "smoke", "sprites", "*nowhere", "&a x",
    "[]", "{}", "[[]]", "[1, two, ~]", "{a: 1}", "{1: 2}", "{? [x] : y}", "&a [*a]", "&b {c: *b}",
    1500 * "[" + 1500 * "]", 30 * "[" + 30 * "]", "!!int abc", "!!float x", "!!bool maybe",
    "!!null x", "!!str 5", "!!binary aGk=", "!!set {a}", "!!omap [a: 1]", "!!timestamp x",
    "!!python/object:os.system x", "!mine x", "!!map x", "!!seq {a: 1}", "!!str [a]", "!!merge x",
    "'unclosed", "[unclosed", "@", "`", "%TAG", "- x", "a: b: c", "\t", "#", "|", ">", "---", "...",
]  # fmt: skip


def leaves(text: str, keys: bool) -> list[tuple[int, int]]:
    """Where the scalars of a YAML text stand, with the keys among them or without."""
    nodes, places = [yaml.compose(text)], []
    while nodes:
        node = nodes.pop()
        if isinstance(node, yaml.ScalarNode):
            places.append((node.start_mark.index, node.end_mark.index))
        elif isinstance(node, yaml.MappingNode):
            nodes += [one for pair in node.value for one in pair[0 if keys else 1 :]]
        elif isinstance(node, yaml.SequenceNode):
            nodes += node.value
    return places


TEXTS = {"study.yaml": STUDY} | {
    name: (CONFIG / name).read_text(encoding="utf-8")
    for name in ("models/vae.yaml", "models/ddpm.yaml", "datasets/sprites.yaml")
}
PLACES = {
    name: st.sampled_from(leaves(text, keys=False))
    | st.sampled_from(leaves(text, keys=False))
    | st.sampled_from(leaves(text, keys=True))
    for name, text in TEXTS.items()
}
ODD: st.SearchStrategy[str] = st.one_of(
    st.sampled_from(ODD_SCALARS),
    st.text(max_size=8),
    st.integers(0, 64).map(str),
    st.integers().map(str),
    st.floats().map(str),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.text(max_size=4) | st.integers(), inner, max_size=3)
        ),
        max_leaves=6,
    ).map(
        lambda value: yaml.safe_dump(value, default_flow_style=True).removesuffix("...\n").strip()
    ),
)


@st.composite
def mutated(draw: Callable[[st.SearchStrategy[Any]], Any]) -> tuple[str, str]:
    """One of the files, and its text after one or two changes, and perhaps one of its lines."""
    name = draw(st.sampled_from(sorted(TEXTS)))
    text, changes = TEXTS[name], []
    for place in draw(st.lists(PLACES[name], min_size=1, max_size=2, unique=True)):
        changes.append((place, draw(ODD)))
    for (start, end), value in sorted(changes, reverse=True):
        text = text[:start] + value + text[end:]
    lines = text.split("\n")
    match draw(st.sampled_from([*5 * ["none"], "drop", "double", "indent", "cut", "swap"])):
        case "drop":
            del lines[draw(st.integers(0, len(lines) - 1))]
        case "double":
            lines.insert(0, lines[draw(st.integers(0, len(lines) - 1))])
        case "indent":
            lines[draw(st.integers(0, len(lines) - 1))] += "\n  "
        case "cut":
            lines = lines[: draw(st.integers(0, len(lines)))]
        case "swap":
            i = draw(st.integers(0, len(lines) - 2))
            lines[i : i + 2] = lines[i + 1], lines[i]
    return name, "\n".join(lines)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A `config/` folder with a study in it."""
    folder = tmp_path_factory.mktemp("mutations") / "config"
    shutil.copytree(CONFIG, folder)
    return folder


@settings(max_examples=1000)
@given(mutation=mutated())
def test_a_mutated_file_is_a_study_or_a_message(folder: Path, mutation: tuple[str, str]) -> None:
    name, text = mutation
    for one, content in TEXTS.items():
        written = text if one == name else content
        (folder / one).write_bytes(written.encode("utf-8", "surrogatepass"))
    try:
        study = load_study(read_yaml(folder / "study.yaml"), folder, folder / "study.yaml")
    except GenLabError as error:
        message = str(error)
        assert str(folder) in message
        assert not JARGON.search(message), message
        assert len(message) < 20_000
        message.encode()  # can be printed
    else:
        assert isinstance(study, Study)


@settings(max_examples=100)
@given(content=st.binary(max_size=60))
def test_any_bytes_are_a_mapping_or_a_message(content: bytes, folder: Path) -> None:
    path = folder / "bytes.yaml"
    path.write_bytes(content)
    try:
        assert isinstance(read_yaml(path), dict)
    except GenLabError as error:
        assert str(error).startswith(f"{path}: ")
