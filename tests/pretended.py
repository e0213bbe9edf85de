"""A pretended GPU: tensors that claim to be on cuda:0 and are computed on the CPU.

It needs no GPU. Inside `with PretendedGPU() as gpu:` every tensor that is created on or moved to
"cuda:0" is such a tensor. An operation on a pretended and a real tensor raises, as a GPU does, and
`gpu.counts` counts the copies between host and device, and the operations for which the host has
to wait. Random numbers are those of the CPU, so results equal the CPU's bit for bit.

To PyTorch's C++ code the tensors are meta tensors, which have neither streams nor a driver; only
their Python attribute `device` says "cuda:0". Autocast has no effect on them.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

GPU = torch.device("cuda:0")
ATEN = torch.ops.aten
SYNCS = {
    ATEN._linalg_check_errors,
    ATEN._local_scalar_dense,
    ATEN._unique2,
    ATEN.bincount,
    ATEN.equal,
    ATEN.masked_select,
    ATEN.nonzero,
    ATEN.unique_consecutive,
    ATEN.unique_dim,
}
"""Operations whose result has a size, or is a number, that the host must know."""
INDEXING = {ATEN.index, ATEN.index_put, ATEN.index_put_, ATEN._index_put_impl_}


class PretendedTensor(Tensor):
    """A tensor that claims to be on the GPU; `host` holds its values on the CPU."""

    host: Tensor
    device: ClassVar[torch.device] = GPU  # type: ignore[misc]

    @staticmethod
    def __new__(cls, real: Tensor) -> PretendedTensor:
        self = Tensor._make_wrapper_subclass(
            cls, real.shape, strides=real.stride(), storage_offset=real.storage_offset(),
            dtype=real.dtype, device="meta",
        )  # fmt: skip
        self.host = real
        return self

    def __repr__(self) -> str:
        return f"PretendedTensor({self.host})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise AssertionError(f"{func}: a tensor of a pretended GPU outside of `PretendedGPU`")


class _Factories(TorchFunctionMode):
    """Creates tensors of given numbers on the CPU first; PyTorch would start CUDA for them."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        device = torch.device(kwargs.get("device") or "cpu")
        if func in (torch.tensor, torch.as_tensor) and device == GPU:
            return func(*args, **kwargs | {"device": "cpu"}).to(GPU)
        if func is Tensor.new_tensor and isinstance(args[0], PretendedTensor):
            return torch.tensor(args[1], **{"dtype": args[0].dtype} | kwargs).to(GPU)
        return func(*args, **kwargs)


class PretendedGPU(TorchDispatchMode):
    """See above.

    Attributes:
        counts: copies "to device" and "to host", and "syncs".
    """

    def __init__(self) -> None:
        super().__init__()
        # With a mode of this kind PyTorch does not start CUDA for `device="cuda:0"`.
        self._mode_key = torch._C._TorchDispatchModeKey.FAKE
        self.counts: Counter[str] = Counter()

    def __enter__(self) -> PretendedGPU:
        self.swap = torch.__future__.get_swap_module_params_on_conversion()
        torch.__future__.set_swap_module_params_on_conversion(True)
        self.factories = _Factories()
        self.factories.__enter__()
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self.factories.__exit__(*error)
        torch.__future__.set_swap_module_params_on_conversion(self.swap)

    def take(self) -> dict[str, int]:
        """The counts so far; the next ones begin at 0."""
        counts = dict(sorted(self.counts.items()))
        self.counts.clear()
        return counts

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        inputs = [value for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor)]
        on_device = any(isinstance(value, PretendedTensor) for value in inputs)
        target = on_device
        if kwargs.get("device") is not None:
            target = torch.device(kwargs["device"]).type != "cpu"
            kwargs["device"] = torch.device("cpu")
        packet = func.overloadpacket
        if packet is ATEN._to_copy:
            self._count_copy(to_device=target, from_device=on_device)
        elif packet is ATEN.copy_:
            to, source = (isinstance(value, PretendedTensor) for value in args[:2])
            self._count_copy(to_device=to, from_device=source)
            target = to
        elif on_device:
            self._check(func, inputs)
            self.counts["syncs"] += packet in SYNCS or self._by_mask(packet, args)
        wrapped: dict[int, Tensor] = {}

        def real(value: Any) -> Any:
            if not isinstance(value, PretendedTensor):
                return value
            wrapped[id(value.host)] = value
            return value.host

        def pretended(value: Any) -> Any:
            if not isinstance(value, Tensor) or isinstance(value, PretendedTensor):
                return value
            return wrapped[id(value)] if id(value) in wrapped else PretendedTensor(value)

        result = func(*tree_map(real, args), **tree_map(real, kwargs))
        return tree_map(pretended, result) if target else result

    def _count_copy(self, to_device: bool, from_device: bool) -> None:
        if to_device != from_device:
            self.counts["to device" if to_device else "to host"] += 1

    @staticmethod
    def _check(func: Any, inputs: list[Tensor]) -> None:
        """Refuse real tensors beside pretended ones; a GPU takes single numbers of the host."""
        for value in inputs:
            if not isinstance(value, PretendedTensor) and value.ndim > 0:
                raise AssertionError(f"{func}: a tensor on the CPU beside one on the GPU")

    @staticmethod
    def _by_mask(packet: Any, args: Any) -> bool:
        """Whether an index is a mask, whose number of ones the host must know."""
        return packet in INDEXING and any(
            index is not None and index.dtype == torch.bool for index in args[1]
        )
