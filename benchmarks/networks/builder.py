"""A small builder of layer specs, so that published networks can be written down in a few lines."""

import math
from typing import Self

from rlcompress.spec import LayerSpec


class Builder:
    """Collects specs; every method returns the builder, and `last` names the newest operator."""

    def __init__(self, channels: int, height: int, width: int | None = None) -> None:
        self.specs: list[LayerSpec] = []
        self._shape: dict[str, tuple[int, int, int]] = {"": (channels, height, width or height)}
        self.last = ""

    def shape(self, name: str | None = None) -> tuple[int, int, int]:
        """Channels, height and width of an operator's output."""
        return self._shape[self.last if name is None else name]

    def at(self, name: str) -> Self:
        """Continue from an earlier operator."""
        self.last = name
        return self

    def conv(
        self,
        k: int,
        r: int,
        stride: int = 1,
        *,
        s: int | None = None,
        pad: str = "same",
        groups: int = 1,
        name: str | None = None,
        density: float = 1.0,
        kind: str = "conv",
    ) -> Self:
        """A convolution of k filters of r x s."""
        _c, h, w = self.shape()
        s = r if s is None else s
        p, q = (math.ceil(n / stride) if pad == "same" else (n - f) // stride + 1 for n, f in ((h, r), (w, s)))
        return self._add(
            name,
            kind,
            (k, p, q),
            kernel_height=r,
            kernel_width=s,
            stride=stride,
            groups=groups,
            input_density=density,
        )

    def depthwise(self, r: int, stride: int = 1, *, name: str | None = None) -> Self:
        """A depthwise convolution."""
        c = self.shape()[0]
        return self.conv(c, r, stride, groups=c, kind="depthwise", name=name)

    def pool(self, r: int, stride: int | None = None, *, pad: str = "same", name: str | None = None) -> Self:
        """Pooling; r = 0 pools globally."""
        c, h, w = self.shape()
        stride = stride or max(r, 1)
        if r == 0:
            return self._add(name, "pool", (c, 1, 1), kernel_height=h, kernel_width=w)
        p, q = (math.ceil(n / stride) if pad == "same" else (n - r) // stride + 1 for n in (h, w))
        return self._add(name, "pool", (c, p, q), kernel_height=r, kernel_width=r, stride=stride)

    def add(self, other: str, *, name: str | None = None) -> Self:
        """The sum with an earlier output."""
        return self._add(name, "add", self.shape(), inputs=(self.last, other))

    def concat(self, names: list[str]) -> Self:
        """Join channels: the next operator reads all of ``names``."""
        label = "+".join(names)
        shapes = [self._shape[n] for n in names]
        self._shape[label] = (sum(s[0] for s in shapes), shapes[0][1], shapes[0][2])
        self.last = label
        return self

    def linear(self, k: int, *, name: str | None = None, density: float = 1.0) -> Self:
        """A fully connected layer over everything before it."""
        c, h, w = self.shape()
        self._shape[self.last] = (c * h * w, 1, 1)
        return self._add(name, "linear", (k, 1, 1), input_density=density)

    def _add(self, name: str | None, kind: str, out: tuple[int, int, int], **more: object) -> Self:
        name = name or f"{kind}{len(self.specs)}"
        c, h, w = self.shape()
        sources = tuple(self.last.split("+")) if self.last else ()
        values: dict[str, object] = {"inputs": sources, **more}
        self.specs.append(
            LayerSpec(
                name=name,
                kind=kind,
                out_channels=out[0],
                in_channels=c,
                out_height=out[1],
                out_width=out[2],
                in_height=h,
                in_width=w,
                **values,  # type: ignore[arg-type]
            )
        )
        self._shape[name] = out
        self.last = name
        return self
