"""Attention maps: they are the weights that the network uses, and recording changes nothing."""

from __future__ import annotations

import pytest
import torch
from latent_models import captions, make_ldm

from genlab.config.samplers.ddim import DDIMSampler
from genlab.errors import GenLabError
from genlab.nn.unet import CrossAttention, Texts
from genlab.processes.noise import SampleNoise
from genlab.sampling.attention import attention_maps, recorded_attention
from genlab.sampling.draw import draw

TOKENS = captions(3)
TEXT = TOKENS != 0


@torch.no_grad()
@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_maps_distribute_each_position_over_the_tokens_of_the_text(guidance: float) -> None:
    model, sampler = make_ldm(), DDIMSampler(steps=3, guidance=guidance)
    drawing, maps = attention_maps(model, sampler, SampleNoise(0, range(3)), TOKENS)
    assert maps.shape == (3, 5, *model.path_shape[1:])
    torch.testing.assert_close(maps.sum(dim=1), torch.ones(3, 2, 2))
    assert float(maps.amin(dim=(2, 3))[TEXT].min()) > 0
    assert float(maps.abs().amax(dim=(2, 3))[~TEXT].max()) == 0
    # The samples are the same without recording, and no hook is left.
    plain = draw(model, sampler, SampleNoise(0, range(3)), TOKENS)
    assert torch.equal(drawing.images, plain.images)
    assert not any(module._forward_hooks for module in model.modules())


@torch.no_grad()
def test_a_map_is_the_mean_over_layers_of_one_evaluation_s_weights() -> None:
    """One step, layer by layer, from the inputs of each layer."""
    model, calls = make_ldm(), []
    readers = [m for m in model.modules() if isinstance(m, CrossAttention)]
    hooks = [
        reader.register_forward_pre_hook(lambda module, inputs: calls.append((module, inputs)))
        for reader in readers
    ]
    _, maps = attention_maps(
        model, DDIMSampler(steps=1, precision="fp32"), SampleNoise(0, range(3)), TOKENS
    )
    for hook in hooks:
        hook.remove()
    assert len(calls) == len(readers) > 1
    expected = torch.stack([reader.weights(*inputs).mean(dim=1) for reader, inputs in calls]).mean(
        0
    )
    torch.testing.assert_close(maps, expected.transpose(1, 2).unflatten(2, (2, 2)))


@torch.no_grad()
def test_recording_grows_with_every_call_and_ends_with_the_context() -> None:
    reading = CrossAttention(8, 6, 4)
    x, texts = torch.randn(2, 8, 2, 3), Texts(torch.randn(2, 5, 6), torch.ones(2, 5).bool())
    with recorded_attention(reading) as recorded:
        reading(x, texts)
        reading(x, texts)
    reading(x, texts)
    assert [weights.shape for weights in recorded] == 2 * [(2, 2, 3, 5)]


def test_a_model_without_text_has_no_maps() -> None:
    with pytest.raises(GenLabError, match="LatentDiffusion: has no cross-attention to text"):
        attention_maps(make_ldm(text=False), DDIMSampler(steps=1), SampleNoise(0, range(3)), TOKENS)


@torch.no_grad()
@pytest.mark.parametrize("n", [3, 20])  # the speed is measured on 16 samples
def test_measuring_the_speed_for_aligned_steps_is_not_recorded(n: int) -> None:
    """The maps of a new model are those of one whose speed is known."""
    sampler = DDIMSampler(steps=2, spacing="aligned")
    new, measured = make_ldm(), make_ldm()
    measured.load_state_dict(new.state_dict())
    measured.speed()
    first, second = (
        attention_maps(model, sampler, SampleNoise(0, range(n)), captions(n))[1]
        for model in (new, measured)
    )
    assert torch.equal(first, second)


def test_without_guidance_no_token_has_a_map() -> None:
    with pytest.raises(GenLabError, match="guidance: 0 ignores the prompts"):
        attention_maps(
            make_ldm(), DDIMSampler(steps=1, guidance=0), SampleNoise(0, range(3)), TOKENS
        )
