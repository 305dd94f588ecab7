"""Whether a graph's operators, run one by one, give what the module gives."""

from typing import Any

import torch
from torch import Tensor, fx, nn

from rlcompress.errors import NetworkError
from rlcompress.network.stored_weights import with_stored_weights

_TOLERANCE = 1e-3  # of the outputs' norm; folded BatchNorms change some 1e-6 of it


@torch.no_grad()
def check_faithful(graph: fx.GraphModule, model: nn.Module, example: Tensor) -> None:
    """Check that a graph gives for single images, each operator on copies, what its module gives for a batch.

    Args:
        graph: traced from the module.
        model: with one tensor argument and one tensor result.
        example: input [N, C, H, W] that it accepts; its values do not matter.

    Raises:
        NetworkError: it does not, so that integer networks and exported files would not either.
    """
    images = torch.rand(2, *example.shape[1:], generator=torch.Generator().manual_seed(0))
    try:
        wanted = with_stored_weights(model)(images)
    except RuntimeError:
        raise NetworkError("forward() builds in the number of images; take it from x.shape[0]") from None
    if not bool(wanted.isfinite().all()):
        return  # the bank names the layer whose weights are to blame
    given = torch.cat([_OnCopies(graph).run(image[None]) for image in images])
    if given.shape != wanted.shape or float((given - wanted).norm()) > _TOLERANCE * float(wanted.norm()):
        raise NetworkError(
            f"{type(model).__name__} does not compute the same for every image alone, operator by operator; keep out "
            "of forward() what computes with the number of images, statistics of the batch, dropout in evaluation "
            "mode, and what overwrites a tensor that is read again by another name, as x += y may"
        )


class _OnCopies(fx.Interpreter):
    """Runs operators on copies, as integer networks do."""

    def fetch_args_kwargs_from_env(self, n: fx.Node) -> tuple[tuple[Any, ...], dict[str, Any]]:
        def copied(part: fx.Node) -> Any:
            value = self.env[part]
            return value.clone() if isinstance(value, Tensor) else value

        return fx.map_arg(n.args, copied), fx.map_arg(n.kwargs, copied)
