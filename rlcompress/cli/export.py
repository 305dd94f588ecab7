"""``rlcompress export``."""

from pathlib import Path
from typing import Annotated

import typer

from rlcompress.cli.loading import final_network, input_format
from rlcompress.cli.options import Cache, Data, InputShape, Mean, Network, PolicyRepair, Std, Weights


def export(
    network: Network,
    data: Data,
    policy: Annotated[Path, typer.Option(help="policy.json of a search.")],
    out: Annotated[Path, typer.Option(help="File to write.")],
    weights: Weights = None,
    format: Annotated[str, typer.Option(help="onnx, safetensors or torch.")] = "onnx",  # noqa: A002  # the option's name
    repair: PolicyRepair = None,
    cache: Cache = None,
    int4: Annotated[bool, typer.Option("--int4", help="ONNX: weights of up to 4 bits as INT4 (opset 21).")] = False,
    input_shape: InputShape = None,
    mean: Mean = None,
    std: Std = None,
) -> None:
    """Write a compressed network to a file that computes exactly what was scored.

    rlcompress export --network cifar_resnet20 --weights FILE --policy RUN/policy.json --data cifar10:DIR --out M.onnx
    """
    from rlcompress.data import check_data_fits, load_data
    from rlcompress.export import check_wish
    from rlcompress.export import export as write
    from rlcompress.network.pretrained import pretrained
    from rlcompress.spec import CompressionPolicy
    from rlcompress.threads import one_thread

    check_wish(out, format, int4)
    chosen = CompressionPolicy.load(policy)
    splits = load_data(data)
    traced, card = pretrained(network, weights, input_format(network, input_shape, mean, std, splits))
    chosen.check_fits(traced.specs)
    check_data_fits(card, splits)
    with one_thread():
        inexact = write(
            final_network(traced, card, chosen, splits, repair, cache), chosen, card, out, format, int4=int4
        )
    typer.echo(f"{format}: {out}, {out.stat().st_size:,} bytes; outputs are the same bits as rlcompress's own")
    if inexact:
        typer.echo(f"but for rounding in operators that are not integer: {', '.join(sorted(inexact))}")
