"""`HardwareModel`: energy and latency of compressed networks on a described accelerator."""

from collections.abc import Callable, Mapping
from functools import cached_property

import numpy as np
import yaml
from numpy.typing import NDArray

from rlcompress.errors import HardwareError
from rlcompress.hw_models.cost import BatchCost, NetworkCost
from rlcompress.hw_models.description import Description
from rlcompress.hw_models.engine import evaluate
from rlcompress.hw_models.memo import Memo
from rlcompress.hw_models.network import Policy, PreparedNetwork, Rules, Specs, prepare, under
from rlcompress.hw_models.report import network_cost
from rlcompress.hw_models.signature import Codes, Keys, Signature, codes_of, policy_keys
from rlcompress.hw_models.work import CLUSTERED, Floats
from rlcompress.spec import ChoiceBatch, CompressionPolicy, LayerChoice, NetworkStructure

_NETWORKS = 8
_POLICIES = 256
_INSTANCE_BITS = 19
_TOTAL_BITS = 17
_MOST_INSTANCES = 1 << 17
"""Operator instances that are worked on at once, which bounds memory."""


class _Known:
    """What a model remembers of one network."""

    def __init__(self, specs: Specs, network: PreparedNetwork, rules: Rules) -> None:
        self.specs = specs
        self.network = network
        self._rules = rules
        self.policies: dict[tuple[object, ...], tuple[object, NetworkCost]] = {}

    @cached_property
    def signature(self) -> Signature:
        """Keys of operators; made, as the tables are, when arrays of policies come."""
        return Signature(self.network, self._rules)

    @cached_property
    def memo(self) -> Memo:
        """Known operator instances: energy and cycles."""
        return Memo(_INSTANCE_BITS, 2)

    @cached_property
    def totals(self) -> Memo:
        """Known policies: energy and latency."""
        return Memo(_TOTAL_BITS, 2)


class _Later:
    """Tables [B, S] of a batch, made when they are asked for."""

    def __init__(self, make: Callable[[], Floats]) -> None:
        self._make = make
        self._table: Floats | None = None

    def __call__(self, i: int) -> Floats:
        if self._table is None:
            self._table = self._make()
        return np.asarray(self._table[i].T)


class HardwareModel:
    """Costs of networks on one accelerator.

    Attributes:
        description: the accelerator, validated.
    """

    def __init__(self, description: Description) -> None:
        self.description = description
        packed = description.bits.packed
        self._rules = Rules(
            residency=description.residency,
            fuse=description.fuse,
            weight_words=None if packed else description.bits.weight,
            activation_words=None if packed else description.bits.activation,
            index_words=description.storage.index_bits,
        )
        self._networks: dict[int, _Known] = {}

    def __reduce__(self) -> tuple[object, ...]:
        """Processes get the description; what was remembered stays."""
        return HardwareModel, (self.description,)

    @property
    def name(self) -> str:
        """Name of the description."""
        return self.description.name

    @property
    def widest_index(self) -> int:
        """Bits of the widest index that clustered weights are stored as; 0 where no indices are stored."""
        return max(self.description.storage.index_bits, default=0)

    @property
    def document(self) -> tuple[str, str]:
        """Suffix and text of a file that `load` makes the same model from."""
        values = self.description.model_dump(mode="json", exclude_none=True)
        return "yaml", yaml.safe_dump(values, sort_keys=False, allow_unicode=True)

    def cost(self, specs: Specs, policy: Policy) -> NetworkCost:
        """What one inference under a policy costs, layer by layer.

        A policy whose choices are the very objects of an earlier call is looked up, as choices are immutable.

        Raises:
            HardwareError: the accelerator cannot run a layer, or not at the chosen width.
            PolicyError: a layer has no choice.
        """
        known = self._known(specs)
        entries = policy.layers if isinstance(policy, CompressionPolicy) else tuple(policy.values())
        names = policy.round_to if isinstance(policy, CompressionPolicy) else tuple(policy)
        key = (names, *map(id, entries))
        found = known.policies.get(key)
        if found is not None:
            return found[1]
        cost = self._cost(*under(known.network, policy))
        if len(known.policies) >= _POLICIES:
            known.policies.clear()
        known.policies[key] = (entries, cost)
        return cost

    def costs(self, specs: Specs, batch: ChoiceBatch) -> BatchCost:
        """What B policies cost, as arrays.

        Raises:
            HardwareError: the accelerator cannot run a layer, or not at a chosen width.
        """
        known = self._known(specs)
        self._check_widths(known.network, batch)
        codes = codes_of(batch)
        keys = policy_keys(codes)
        slots = known.totals.find(keys)
        totals = known.totals.values[slots]
        if slots.min(initial=0) < 0:
            totals = self._table(known, batch, codes).sum(axis=0) * (1.0, self._seconds)
            new, rows = np.unique(np.where(slots < 0, keys, 0), return_index=True)
            known.totals.add(new[new != 0], totals[rows[new != 0]])
        return BatchCost(totals[:, 0], totals[:, 1], _Later(lambda: self._levels(known, batch)))

    def parallel(self, accelerators: int) -> "HardwareModel":
        """As many of these accelerators working on every layer together."""
        if accelerators < 1:
            raise HardwareError(f"{self.name}: accelerators: must be at least 1, got {accelerators}")
        return HardwareModel(self.description.model_copy(update={"accelerators": accelerators}))

    def with_batch(self, images: int) -> "HardwareModel":
        """The same accelerator with several images in flight; costs stay those of one image."""
        if images < 1:
            raise HardwareError(f"{self.name}: batch: must be at least 1, got {images}")
        return HardwareModel(self.description.model_copy(update={"batch": images}))

    def figures(self, specs: Specs, batch: ChoiceBatch) -> dict[str, Floats]:
        """Every figure of `Figures` as [B, S] arrays, computed anew; energy is that of all levels."""
        known = self._known(specs)
        self._check_widths(known.network, batch)
        figures = evaluate(known.network.work(batch, self._rules), self.description)
        shape = (len(known.network.specs), batch.shape[0])
        values = {name: getattr(figures, name) for name in figures.__dataclass_fields__}
        values["energy_pj"] = figures.energy_pj.sum(axis=0)
        return {name: value.reshape(shape).T for name, value in values.items()}

    @property
    def _seconds(self) -> float:
        return 1e-6 / self.description.clock_mhz

    def _table(self, known: _Known, batch: ChoiceBatch, codes: Codes) -> Floats:
        """[S, B, 2] energy in pJ and cycles, of known instances from the memo."""
        policies, limit = batch.shape[0], max(1, _MOST_INSTANCES // max(1, len(known.network.specs)))
        if policies > limit:
            parts = [batch.rows(slice(start, start + limit)) for start in range(0, policies, limit)]
            return np.concatenate([self._table(known, part, codes_of(part)) for part in parts], axis=1)
        keys = known.signature.keys(codes, batch)
        slots = known.memo.find(keys)
        table = known.memo.values[slots]
        unknown = slots < 0
        if unknown.any():
            table[unknown] = self._learned(known, batch, keys, unknown)
        return np.asarray(table)

    def _learned(self, known: _Known, batch: ChoiceBatch, keys: Keys, unknown: NDArray[np.bool_]) -> Floats:
        """[N, 2] of the N unknown instances among all, which are computed, those of equal keys once, and remembered."""
        policies = np.flatnonzero(unknown.any(axis=0))
        among = unknown[:, policies]
        distinct, first, of = np.unique(keys[:, policies][among], return_index=True, return_inverse=True)
        work = known.network.work(batch.rows(policies), self._rules).take(np.flatnonzero(among)[first])
        figures = evaluate(work, self.description)
        values = np.stack([figures.energy_pj.sum(axis=0), figures.cycles], axis=1)
        known.memo.add(distinct, values)
        return np.asarray(values[of])

    def _levels(self, known: _Known, batch: ChoiceBatch) -> Floats:
        """[7, S, B] energy by level in pJ and cycles, computed anew."""
        figures = evaluate(known.network.work(batch, self._rules), self.description)
        values = np.concatenate([figures.energy_pj, figures.cycles[None]])
        return values.reshape(len(values), len(known.network.specs), batch.shape[0])

    def _cost(self, network: PreparedNetwork, choices: Mapping[str, LayerChoice]) -> NetworkCost:
        batch = ChoiceBatch.of([choices], network.structure.layers)
        self._check_widths(network, batch)
        work = network.work(batch, self._rules)
        return network_cost(self.description, network.specs, choices, work, evaluate(work, self.description))

    def _known(self, specs: Specs) -> _Known:
        known = self._networks.get(id(specs))
        if known is not None and known.specs is specs:
            return known
        network = prepare(specs)
        for spec in network.specs:
            if spec.kind not in self.description.kinds:
                raise HardwareError(
                    f"{self.name}: kinds: cannot run layer {spec.name!r} of kind {spec.kind!r}; "
                    f"it runs {', '.join(self.description.kinds)}"
                )
        known = _Known(specs, network, self._rules)
        if isinstance(specs, NetworkStructure | tuple):
            if len(self._networks) >= _NETWORKS:
                self._networks.pop(next(iter(self._networks)))
            self._networks[id(specs)] = known
        return known

    def _check_widths(self, network: PreparedNetwork, batch: ChoiceBatch) -> None:
        for key in ("weight", "activation"):
            bits, most = getattr(batch, f"{key}_bits"), max(getattr(self.description.bits, key))
            if bits.size and bits.max() > most:
                layer = network.structure.layers[int(np.argwhere(bits > most)[0][1])]
                raise HardwareError(
                    f"{self.name}: bits.{key}: runs at most {most} bits, layer {layer!r} asks for {int(bits.max())}"
                )
        if batch.weight_quantizer.any():
            self._check_indices(network, batch)

    def _check_indices(self, network: PreparedNetwork, batch: ChoiceBatch) -> None:
        wrong = np.argwhere((batch.weight_quantizer == CLUSTERED) & (batch.weight_bits > self.widest_index))
        if wrong.size:
            policy, layer = (int(i) for i in wrong[0])
            stored = f"indices of at most {self.widest_index} bits" if self.widest_index else "no indices"
            raise HardwareError(
                f"{self.name}: storage.index_bits: stores {stored}, layer {network.structure.layers[layer]!r} has "
                f"clustered weights of {batch.weight_bits[policy, layer]} bits; set its weight_quantizer to 'uniform'"
            )
