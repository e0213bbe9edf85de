"""Extractors that were trained elsewhere, with weights from a file; and the domain classifier."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY
from traps import Trap

from genlab.config.base import read_yaml
from genlab.config.evaluators import extractor, extractors
from genlab.config.pretrained import Pretrained, weights_problem
from genlab.config.study import EvaluationConfig
from genlab.errors import GenLabError
from genlab.evaluation.dinov2 import DINOv2, VisionTransformer
from genlab.evaluation.extractors import make_extractor
from genlab.evaluation.extractors.inception_v3_compat import InceptionV3
from genlab.evaluation.pretrained import PretrainedExtractor
from genlab.io.arrays import read_array, write_array
from genlab.registry import class_in
from genlab.results.layout import StudyFolder
from genlab.workflow.feature_files import features_origin, read_features
from genlab.workflow.features import features, load_extractor
from genlab.workflow.models import load_trained

CPU = torch.device("cpu")
INCEPTION = InceptionV3.name
PRETRAINED = [name for name, facts in extractors().items() if isinstance(facts, Pretrained)]


class Untrained(FeatureExtractorInceptionV3):  # type: ignore[misc]
    """The very architecture with random weights, instead of those it would load."""

    def load_state_dict(self, *args: Any, **kwargs: Any) -> None:
        """Keep the random weights."""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of generated weights for Inception."""
    folder = tmp_path_factory.mktemp("inception")
    torch.save({}, folder / "none")
    torch.manual_seed(0)
    network = Untrained(INCEPTION, list(InceptionV3.layers), str(folder / "none"))
    torch.save(network.state_dict(), folder / "weights.pth")
    return folder / "weights.pth"


def use(at: StudyFolder, weights: Path) -> None:
    """Let the study's evaluation name a file of Inception's weights."""
    own = {"extractors": [INCEPTION], "weights": {INCEPTION: str(weights)}}
    config = read_yaml(at.evaluation) | own
    at.evaluation.write_text(yaml.safe_dump(config))


def test_inception_reads_its_weights_from_a_file(
    weights: Path, tiny_study: Callable[..., StudyFolder], tmp_path: Path
) -> None:
    """Grey images are seen as three equal channels."""
    at = tiny_study()
    use(at, weights)
    grey = np.array(read_array(at.data("stripes").images("test"))[:3])
    write_array(tmp_path / "grey.npy", grey)
    write_array(tmp_path / "rgb.npy", grey.repeat(3, axis=1))
    result = {}
    for name in ("grey", "rgb"):
        features(at, "stripes", tmp_path / f"{name}.npy", tmp_path, cpu=True)
        origin = features_origin(at, "stripes", INCEPTION, tmp_path / f"{name}.npy")
        result[name] = read_features(tmp_path / f"{INCEPTION}.npz", origin)
    assert result["grey"]["features"].shape == (3, 2048)
    assert result["grey"]["logits"].shape == (3, 1008)
    assert np.array_equal(result["grey"]["features"], result["rgb"]["features"])
    assert not np.allclose(result["grey"]["features"][0], result["grey"]["features"][1])


def test_a_pickle_in_place_of_the_weights_is_refused_and_not_unpickled(
    tiny_study: Callable[..., StudyFolder], genlab: Callable[..., Any], tmp_path: Path
) -> None:
    """Though torch-fidelity itself loads weights by the full unpickler."""
    at = tiny_study()
    torch.save({"fc.weight": Trap(tmp_path / "sprung")}, tmp_path / "weights.pth")
    use(at, tmp_path / "weights.pth")
    ended = genlab(
        "features", "--config", at.config, "--dataset", "stripes",
        "--images", at.data("stripes").images("test"), "--out", tmp_path,
    )  # fmt: skip
    assert ended.status == 1
    assert f"the extractor '{INCEPTION}' can't be made ({tmp_path}/weights.pth)" in ended.err
    assert f"set evaluation.weights: {{{INCEPTION}: FILE}} to a local file of tensors" in ended.err
    assert not (tmp_path / "sprung").exists()
    assert not (tmp_path / f"{INCEPTION}.npz").exists()


def _torn(path: Path) -> None:
    torch.save({"fc.weight": torch.zeros(3)}, path)
    path.write_bytes(path.read_bytes()[:200])


def _zip_of_junk(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("weights/data.pkl", b"junk")
        archive.writestr("weights/version", "3")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda path: path.unlink(), r"evaluation\.weights: .*: .*weights\.pth: no such file"),
        (
            lambda path: path.write_bytes(b""),
            r"evaluation\.weights: .*: .*weights\.pth: the file is empty",
        ),
        (lambda path: path.write_text("no weights"), r"weights\.pth: not a file of weights"),
        (_torn, r"can't be made .*weights\.pth.*: .+ Where nothing can"),
        (_zip_of_junk, r"can't be made .*weights\.pth.*: .+ Where nothing can"),
        (
            lambda path: torch.save({"fc.weight": torch.zeros(3)}, path),
            r"can't be made .*weights\.pth.*: .+ Where nothing can",
        ),
        (
            lambda path: torch.save([1, 2], path),
            r"can't be made .*weights\.pth.*: .+ Where nothing can",
        ),
    ],
    ids=["missing", "empty", "text", "torn", "zip of junk", "another architecture", "no weights"],
)
@pytest.mark.parametrize("name", [INCEPTION, "clip-vit-b-32", "dinov2-vit-s-14"])
def test_weights_that_do_not_fit_are_refused(
    spoil: Callable[[Path], object],
    reason: str,
    name: str,
    tmp_path: Path,
) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(b"")
    spoil(path)
    config = EvaluationConfig(weights={name: str(path)})
    with pytest.raises(GenLabError, match=reason):
        make_extractor(name, None, config, CPU)


@pytest.mark.parametrize("zipped", [True, False])
def test_planning_accepts_both_formats_of_torch(zipped: bool, tmp_path: Path) -> None:
    """That of today, a zip, and that of before torch 1.6."""
    path = tmp_path / "weights.pth"
    torch.save({"x": torch.zeros(1)}, path, _use_new_zipfile_serialization=zipped)
    assert weights_problem(str(path)) is None


def read_from(path: Path, name: str) -> PretrainedExtractor:
    """The extractor `name` with the weights at `path`."""
    network = make_extractor(name, None, EvaluationConfig(weights={name: str(path)}), CPU)
    assert isinstance(network, PretrainedExtractor)
    return network


def test_the_dimensions_of_inception_are_those_that_planning_counts_with(weights: Path) -> None:
    network = read_from(weights, INCEPTION)
    features, logits = network(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))
    assert features.shape == (1, extractor(INCEPTION).dimensions(None))
    assert logits.shape == (1, 1008)


def visual_transformer(width: int, features: int) -> dict[str, torch.Tensor]:
    """Generated weights of OpenAI's architecture: one layer, patches of 32, images of side 64."""
    layer = {
        "attn.in_proj_weight": (3 * width, width), "attn.in_proj_bias": (3 * width,),
        "attn.out_proj.weight": (width, width), "attn.out_proj.bias": (width,),
        "mlp.c_fc.weight": (4 * width, width), "mlp.c_fc.bias": (4 * width,),
        "mlp.c_proj.weight": (width, 4 * width), "mlp.c_proj.bias": (width,),
        "ln_1.weight": (width,), "ln_1.bias": (width,), "ln_2.weight": (width,),
        "ln_2.bias": (width,),
    }  # fmt: skip
    shapes = {
        "conv1.weight": (width, 3, 32, 32), "class_embedding": (width,),
        "positional_embedding": (5, width), "ln_pre.weight": (width,), "ln_pre.bias": (width,),
        "ln_post.weight": (width,), "ln_post.bias": (width,), "proj": (width, features),
        **{f"transformer.resblocks.0.{name}": shape for name, shape in layer.items()},
    }  # fmt: skip
    state = {f"visual.{name}": torch.randn(shape) for name, shape in shapes.items()}
    return {**state, "text_projection": torch.randn(8, features)}


class Archive(torch.nn.Module):
    """A module with given parameters, to be written as OpenAI writes CLIP."""

    def __init__(self, tensors: dict[str, torch.Tensor]) -> None:
        super().__init__()
        for name, tensor in tensors.items():
            at: torch.nn.Module = self
            *folders, last = name.split(".")
            for folder in folders:
                if not hasattr(at, folder):
                    at.add_module(folder, torch.nn.Module())
                at = getattr(at, folder)
            at.register_parameter(last, torch.nn.Parameter(tensor))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Nothing that matters."""
        return x


@pytest.mark.filterwarnings("ignore::FutureWarning")  # torch.jit.script
def test_clip_reads_tensors_and_the_archive_of_its_authors(tmp_path: Path) -> None:
    state = visual_transformer(width=64, features=512)
    torch.save(state, tmp_path / "tensors.pt")
    torch.jit.script(Archive(state)).save(tmp_path / "archive.pt")
    pixels = torch.randint(0, 256, (2, 3, 28, 28), dtype=torch.uint8)
    files = (tmp_path / "tensors.pt", tmp_path / "archive.pt")
    (one, none), (two, _) = (read_from(path, "clip-vit-b-32")(pixels) for path in files)
    assert one.shape == (2, extractor("clip-vit-b-32").dimensions(None))
    assert none.shape == (2, 0)
    assert torch.equal(one, two)
    assert not torch.allclose(one[0], one[1])


def test_dinov2_reads_its_weights_from_a_file(tmp_path: Path) -> None:
    network = VisionTransformer(384, 12)
    torch.nn.init.normal_(network.pos_embed)
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    extract = read_from(tmp_path / "weights.pth", "dinov2-vit-s-14")
    pixels = torch.randint(0, 256, (2, 3, 28, 28), dtype=torch.uint8)
    with torch.no_grad():
        features, logits = extract(pixels)
        assert torch.equal(features, network(pixels)[0])
        # Another batch size may sum in another order, in float32.
        torch.testing.assert_close(extract(pixels[:1])[0], features[:1], rtol=0, atol=1e-4)
    assert features.shape == (2, extractor("dinov2-vit-s-14").dimensions(None))
    assert logits.shape == (2, 0)


def _rows(scale: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """The rows of a matrix, or the entries of a vector, times a factor each."""
    return (scale * weight.transpose(0, -1)).transpose(0, -1)


@torch.no_grad()
def test_a_block_of_dinov2_is_a_layer_of_torch_s_transformer() -> None:
    """LayerScale is part of the last linear layer of each branch there."""
    block = VisionTransformer(128, 1).blocks[0]
    for parameter in block.parameters():
        parameter.copy_(torch.randn_like(parameter) / 4)
    own = block.state_dict()
    layer = torch.nn.TransformerEncoderLayer(
        128, 2, 512, activation="gelu", norm_first=True, batch_first=True, layer_norm_eps=1e-6,
        dropout=0.0,
    )  # fmt: skip
    scales = {"attn.proj": own["ls1.gamma"], "mlp.fc2": own["ls2.gamma"]}
    names = {"self_attn.in_proj_": "attn.qkv.", "self_attn.out_proj.": "attn.proj.",
             "linear1.": "mlp.fc1.", "linear2.": "mlp.fc2.", "norm1.": "norm1.",
             "norm2.": "norm2."}  # fmt: skip
    for theirs, ours in names.items():
        scale = scales.get(ours[:-1], torch.ones(1))
        layer.get_parameter(f"{theirs}weight").copy_(_rows(scale, own[f"{ours}weight"]))
        layer.get_parameter(f"{theirs}bias").copy_(scale * own[f"{ours}bias"])
    x = torch.randn(2, 5, 128)
    torch.testing.assert_close(block(x), layer(x), rtol=1e-4, atol=1e-4)  # float32


@torch.no_grad()
def test_positions_of_dinov2_are_interpolated() -> None:
    """Those that rise evenly from row to row still do, but for the border."""
    network = VisionTransformer(64, 0)
    rows = torch.arange(37.0)[:, None].expand(37, 37).flatten()
    network.pos_embed.copy_(torch.cat([torch.tensor([-7.0]), rows])[None, :, None])
    assert torch.equal(network.positions(37), network.pos_embed)
    positions = network.positions(16)[0, :, 0]
    assert positions[0] == -7
    steps = positions[1:].reshape(16, 16).diff(dim=0)[2:-2]
    # torch's bicubic filter (a = -0.75) draws a line a little wavy.
    assert torch.allclose(steps, torch.tensor(37 / 16.1), rtol=0.05)


def test_every_pretrained_extractor_takes_layers_that_torch_fidelity_has() -> None:
    for name in PRETRAINED:
        kind = class_in(extractor(name).module, PretrainedExtractor)
        assert kind.name == name
        registered = FEATURE_EXTRACTORS_REGISTRY[name]
        if not issubclass(kind, DINOv2):
            assert set(kind.layers) <= set(registered.get_provided_features_list())


def test_a_file_of_weights_for_an_extractor_that_reads_none_is_refused() -> None:
    with pytest.raises(ValueError, match="'pixel-pca' reads no file of weights"):
        EvaluationConfig(weights={"pixel-pca": "x.pth"})


def test_a_model_that_is_no_classifier_is_refused(trained_study: StudyFolder) -> None:
    vae = load_trained(trained_study.run("stripes", "vae", 0))
    with pytest.raises(GenLabError, match="needs a Classifier, not a VAE"):
        make_extractor("classifier", vae, EvaluationConfig(), CPU)


def test_a_classifier_that_is_not_trained_yet_is_named(
    tiny_study: Callable[..., StudyFolder],
) -> None:
    with pytest.raises(GenLabError, match=r"weights\.safetensors: no such file; run `genlab tr"):
        load_extractor(tiny_study(), "stripes", "classifier", torch.device("cpu"))


def test_an_unknown_extractor_is_named_with_the_nearest_one(
    tiny_study: Callable[..., StudyFolder],
) -> None:
    with pytest.raises(GenLabError, match="'clasifier': did you mean 'classifier'"):
        load_extractor(tiny_study(), "stripes", "clasifier", torch.device("cpu"))
