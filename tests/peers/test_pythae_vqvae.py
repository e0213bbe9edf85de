"""The quantiser beside pythae's two, on the same vectors and the same codebook.

Where they differ it is by convention, and each test says by which.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from genlab.nn.quantiser import Quantised, Quantiser

utils = pytest.importorskip("pythae.models.vq_vae.vq_vae_utils")
pythae = pytest.importorskip("pythae.models")

K, D, DECAY = 12, 4, 0.9
TOLERANCE = 1e-4  # float32 sums of a few hundred terms of size 1


def peer_config(**changes: Any) -> Any:
    config = pythae.VQVAEConfig(
        input_dim=(1, 8, 8), num_embeddings=K, decay=DECAY, commitment_loss_factor=0.25, **changes
    )
    config.embedding_dim = D
    return config


def own(counts: Tensor, sums: Tensor) -> Quantiser:
    quantiser = Quantiser(K, D, DECAY, restart_below=0.0)
    quantiser.counts.copy_(counts)
    quantiser.sums.copy_(sums)
    quantiser.started.fill_(True)
    quantiser.on_host = True
    return quantiser


def compare(ours: Quantised, theirs: Any) -> None:
    assert torch.equal(ours.indices, theirs.quantized_indices[:, 0])
    torch.testing.assert_close(
        ours.vectors, theirs.quantized_vector, rtol=TOLERANCE, atol=TOLERANCE
    )


def test_loss_and_codes_are_those_of_the_quantiser_with_gradients() -> None:
    """pythae without EMA: .25 commitment + 1 |sg(z) - e|^2, equal numbers with gradients to either.

    So its loss is 1.25 times our commitment in value; and z is given the same gradient, since
    the second term has none for z.
    """
    peer = utils.Quantizer(peer_config())
    codebook = torch.randn(K, D)
    peer.embeddings.weight.data.copy_(codebook)
    z = torch.randn(3, D, 5, 5, requires_grad=True)
    theirs = peer(z.movedim(1, -1))
    ours = own(torch.ones(K), codebook).eval()(z)
    compare(ours, theirs)
    torch.testing.assert_close(1.25 * ours.commitment, theirs.loss, rtol=TOLERANCE, atol=TOLERANCE)
    gradients = [
        torch.autograd.grad(loss + vectors.sin().sum(), z)[0]
        for loss, vectors in (
            (0.25 * ours.commitment, ours.vectors),
            (theirs.loss, theirs.quantized_vector),
        )
    ]
    torch.testing.assert_close(*gradients, rtol=TOLERANCE, atol=TOLERANCE)


def test_loss_and_one_step_of_the_codebook_are_those_of_the_ema_quantiser() -> None:
    """The loss on the old codebook, and the codebook after it, within 1e-4.

    pythae keeps the smoothed counts where ours stay raw; after one step from the same state that
    makes no difference.
    """
    peer = utils.QuantizerEMA(peer_config(use_ema=True)).train()
    counts, sums = 1 + torch.rand(K), torch.randn(K, D)
    quantiser = own(counts, sums)
    peer.cluster_size.copy_(counts)
    peer.ema_embed.copy_(sums)
    peer.embeddings.copy_(quantiser.codebook())
    z = torch.randn(3, D, 5, 5)
    theirs, ours = peer(z.movedim(1, -1)), quantiser(z)
    compare(ours, theirs)
    torch.testing.assert_close(0.25 * ours.commitment, theirs.loss, rtol=TOLERANCE, atol=TOLERANCE)
    torch.testing.assert_close(quantiser.sums, peer.ema_embed, rtol=TOLERANCE, atol=TOLERANCE)
    torch.testing.assert_close(
        quantiser.codebook(), peer.embeddings, rtol=TOLERANCE, atol=TOLERANCE
    )


def test_smoothing_kept_in_the_counts_sets_the_peer_apart_for_codes_out_of_use() -> None:
    """Over a hundred steps: codes in use agree, but one out of use gains counts from nothing.

    Raw, N and m of a code out of use shrink alike, and e = m / N stays where it was; with smoothed
    counts kept, N stops near 1e-5 of the others while m goes on, and the code collapses to zero.
    """
    peer = utils.QuantizerEMA(peer_config(use_ema=True)).train()
    counts, sums = torch.ones(K), torch.randn(K, D)
    sums[0] = 50.0  # far from every z
    quantiser = own(counts, sums)
    peer.cluster_size.copy_(counts)
    peer.ema_embed.copy_(sums)
    peer.embeddings.copy_(quantiser.codebook())
    z = torch.randn(8, D, 5, 5)
    for _ in range(100):
        ours = quantiser(z)
        peer(z.movedim(1, -1))
    assert not (ours.indices == 0).any()
    used = ours.indices.unique()
    torch.testing.assert_close(
        quantiser.codebook()[used], peer.embeddings[used], rtol=1e-3, atol=1e-3
    )  # their smoothing adds up to 1e-5 of a count each of about ten steps of memory
    assert float(quantiser.sums[0, 0] / quantiser.counts[0]) == pytest.approx(50, rel=1e-3)
    assert float(peer.embeddings[0].abs().max()) < 50
