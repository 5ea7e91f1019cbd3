"""What a training costs, beside its seconds: samples and floating-point operations, the same on every machine."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


def training_cost(
    model: nn.Module, shape_zyx: tuple[int, int, int], *, steps: int, batch_size: int
) -> dict[str, int | float]:
    """Return `n_samples` that the training looks at, repeats counted, and its `tflops`, 10^12 operations in all."""
    return {
        "n_samples": steps * batch_size,
        "tflops": steps * batch_size * sample_flops(model, shape_zyx) / 1e12,
    }


def sample_flops(model: nn.Module, shape_zyx: tuple[int, int, int]) -> int:
    """Return the operations of one forward and backward pass of one volume; `model` stays as it is.

    Counted are convolutions and matrix products, a multiplication and an addition as two (torch's FlopCounterMode); what
    is frozen has no backward pass. Losses, norms, the optimiser and the making of batches are small beside them and left out.
    Counted with data, on the model's device: on torch's "meta" device, without, there is no autocast.
    """
    twin = copy.deepcopy(model).train()
    volumes = torch.zeros(2, 1, *shape_zyx, device=next(twin.parameters()).device)  # norms need two values
    with FlopCounterMode(display=False) as counter:
        total(twin(volumes)).backward()  # type: ignore[no-untyped-call]
    return int(counter.get_total_flops()) // len(volumes)


def total(outputs: Any) -> Tensor:
    """Return one number that depends on all that a network says: a tensor, or a record of tensors and tuples of them."""
    parts = [outputs] if isinstance(outputs, Tensor) else list(vars(outputs).values())
    tensors = [tensor for part in parts for tensor in (part if isinstance(part, tuple) else (part,))]
    return torch.stack([tensor.sum() for tensor in tensors]).sum()
