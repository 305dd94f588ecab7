"""`Planner`: policies that trade cost against the proxy's error, without looking at an image."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rlcompress.planning.alternatives import Alternatives, Fronts
from rlcompress.planning.batches import joined, row, same
from rlcompress.planning.proxy import Proxy
from rlcompress.planning.space import ChoiceSpace
from rlcompress.spec import ChoiceBatch

Floats = NDArray[np.float64]
LogCost = Callable[[ChoiceBatch], Floats]
Error = Callable[[ChoiceBatch], Floats]

_SWEEPS = 4
_WEIGHTS = np.geomspace(300.0, 0.03, 40)  # of the relative proxy error against the logarithm of the cost
_TRIALS = 2  # of weights between two stops
_SHARES = (0.1, 0.9)  # of the way between them that a trial keeps from either
_APART = 3.0  # weights and errors of the path's ends and of what would come behind them
_BOLDEST, _MOST_CAREFUL, _STEP = 0.3, 1e-4, 1.25  # relative proxy errors of rungs, and the ratio of two in a row
_AHEAD = 2  # visits looked at together after a change, twice as many each time that nothing changes
_LEAST_CHANGE = 1e-9  # of the cost's logarithm, or of the error's part; sums differ from batch to batch by less
_TINY = 1e-12  # relative error


class Look(NamedTuple):
    """What a visit may make of a plan: alternatives with their logarithmic costs [O] and errors [O]."""

    batch: ChoiceBatch
    costs: Floats
    errors: Floats


@dataclass(eq=False)
class _Stop:
    """A plan to begin with, the weight that it is for, and logarithmic costs of all alternatives to it, once known."""

    plan: ChoiceBatch
    weight: float = np.inf
    costs: list[Floats] = field(default_factory=list)


class _Point(NamedTuple):
    """A weight, and the error of the plan that it makes."""

    weight: float
    error: float

    def farther(self) -> "_Point":
        """What a bolder plan might be."""
        return _Point(self.weight / _APART, self.error * _APART)

    def weight_towards(self, bolder: "_Point", limit: float) -> float:
        """The weight whose plan has the error of the limit, by a straight line between logarithms."""
        share = np.log(max(limit, _TINY) / self.error) / max(_TINY, np.log(bolder.error / self.error))
        return float(self.weight * (bolder.weight / self.weight) ** np.clip(share, *_SHARES))


class Planner:
    """Plans by minimising ln(cost) + weight x relative proxy error, one layer after the other until nothing changes.

    The cost is that of the whole network, so that what a layer's choice does to its neighbours (channels, residency
    on chip) is seen as far as changing one layer or one coupling group at a time can show it. The proxy adds up over
    layers. (A coordinate-wise Lagrangian; compare SPDY, Frantar & Alistarh, ICML 2022.)

    Args:
        space: what may be chosen.
        proxy: predicted logit error.
        log_cost: logarithm of the cost of B policies: [B].
        logit_variance: of the dense network, to make the proxy's error relative.
    """

    def __init__(self, space: ChoiceSpace, proxy: Proxy, log_cost: LogCost, logit_variance: float) -> None:
        self.space = space
        self.proxy = proxy
        self.log_cost = log_cost
        self._variance = logit_variance
        self._alternatives = Alternatives(space)

    @property
    def path(self) -> list[ChoiceBatch]:
        """Plans (one policy each) from the most careful to the boldest, without repetition."""
        return [stop.plan for stop in self._stops]

    @cached_property
    def _stops(self) -> list[_Stop]:
        last = _Stop(self.space.snapped(self.space.uniform(self.space.max_bits)))
        stops: list[_Stop] = []
        for weight in map(float, _WEIGHTS):
            plan = self.descend(last.plan, weight, self.error, self._fronts(last, self.error))
            if not stops or not same(plan, last.plan):
                last = _Stop(plan, weight)
                stops.append(last)
        return stops

    def error(self, batch: ChoiceBatch) -> NDArray[np.float64]:
        """Predicted logit error relative to the dense logits' variance: [B]."""
        return self.proxy.predict(batch) / self._variance

    def within(self, limit: float, error: Error | None = None, fronts: Fronts | None = None) -> ChoiceBatch:
        """A cheap plan whose error is at most ``limit``, or the most careful plan if there is none.

        Of two the cheaper: one from the path, whose weight is refined by interpolation and whose gaps, as it is a
        convex hull, are filled (`filled`); and one from a rung, see `_rungs`.

        Args:
            limit: of the error.
            error: relative error of B policies: [B]; None for the proxy's.
            fronts: gets what is found out about alternatives under this error.
        """
        error, fronts = error or self.error, {} if fronts is None else fronts
        plan = self._from_path(limit, error, fronts)
        plans = [plan, *(self._filled_stop(rung, limit, error) for rung in self._near(limit, error))]
        return self._cheapest([plan for plan in plans if error(plan)[0] <= limit] or plans[:1])

    def _near(self, limit: float, error: Error) -> list[_Stop]:
        """The rung nearest to a limit of the error from either side."""
        if not self._rungs:
            return []
        distance = error(joined([rung.plan for rung in self._rungs])) - limit
        sides = [np.flatnonzero(distance > 0.0), np.flatnonzero(distance <= 0.0)]
        return [self._rungs[side[np.abs(distance[side]).argmin()]] for side in sides if len(side)]

    @cached_property
    def _rungs(self) -> list[_Stop]:
        """Plans for falling limits of the proxy's error, each made from the path or from the two before it.

        Where a tensor fits on chip once its channels are few enough, plans with it and without it are far apart, and
        the path goes from the ones to the others at the error at which the bolder ones are the better by far. Going
        back from bolder plans finds what is best of their kind at less error.
        """
        careful, bold = (float(self.error(plan)[0]) for plan in (self.path[0], self.path[-1]))
        careful, bold = max(careful, _MOST_CAREFUL), min(bold, _BOLDEST)
        rungs: list[_Stop] = []
        while bold > careful:
            before = (self._filled_stop(rung, bold, self.error) for rung in rungs[-2:])
            plans = [self._from_path(bold, self.error, {}), *before]
            rungs.append(_Stop(self._cheapest([plan for plan in plans if self.error(plan)[0] <= bold] or plans[:1])))
            bold /= _STEP
        return rungs

    def _filled_stop(self, stop: _Stop, limit: float, error: Error) -> ChoiceBatch:
        return self.filled(stop.plan, limit, error, self._fronts(stop, error))

    def _cheapest(self, plans: Sequence[ChoiceBatch]) -> ChoiceBatch:
        return plans[int(np.argmin(self.log_cost(joined(plans))))]

    def _from_path(self, limit: float, error: Error, fronts: Fronts) -> ChoiceBatch:
        """Beginning with the last plan of the path that is within the limit."""
        errors = error(joined(self.path)).clip(_TINY)
        allowed = np.flatnonzero(errors <= limit)
        place = int(allowed[-1]) if len(allowed) else 0
        stop, last = self._stops[place], place + 1 == len(self._stops)
        fronts.update(self._fronts(stop, error))
        plan, weight = stop.plan, stop.weight if place else _APART * float(_WEIGHTS[0])
        within = _Point(weight, float(errors[place]))
        beyond = within.farther() if last else _Point(self._stops[place + 1].weight, float(errors[place + 1]))
        for _ in range(_TRIALS):
            weight = within.weight_towards(beyond, limit)
            trial = self.descend(plan, weight, error, fronts)
            point = _Point(weight, max(_TINY, float(error(trial)[0])))
            if point.error <= limit:
                plan, within = trial, point
            else:
                beyond = point
        return self.filled(plan, limit, error, fronts)

    def filled(
        self, plan: ChoiceBatch, limit: float, error: Error | None = None, fronts: Fronts | None = None
    ) -> ChoiceBatch:
        """The plan made cheaper, change by change, as long as its error stays at most ``limit``.

        Of all layers' changes each time the one is made that saves most of the cost's logarithm for the error that it
        adds. A plan beyond the limit is first brought within it by those that cost least for the error they take away,
        if any do.
        """
        error, fronts = error or self.error, {} if fronts is None else fronts
        if error(plan)[0] > limit:
            plan = self._changed(plan, limit, error, fronts)
        return self._changed(plan, limit, error, fronts)

    def _changed(self, plan: ChoiceBatch, limit: float, error: Error, fronts: Fronts) -> ChoiceBatch:
        """The plan changed until it is within the limit, or until nothing that seemed worth a change still is.

        A visit's worth is what it was when it was last looked at; the most promising one is looked at again before its
        change is made (the lazy evaluation of Minoux, 1978).
        """
        cost, own = float(self.log_cost(plan)[0]), float(error(plan)[0])
        beyond = own > limit
        visits = range(self._alternatives.visits)
        looks = self._looks(plan, visits, error, fronts)
        worths = {visit: float(_worth(look, cost, own, limit).max()) for visit, look in looks}
        ahead = _AHEAD
        while max(worths.values(), default=-np.inf) > -np.inf and (own > limit or not beyond):
            promising = sorted(worths, key=lambda visit: -worths[visit])[:ahead]
            ahead *= 2
            for visit, look in self._looks(plan, promising, error, fronts):
                if worths[visit] < max(worths.values()):  # that of a visit looked at just now
                    ahead = 1
                    break
                worth = _worth(look, cost, own, limit)
                pick = int(np.argmax(worth))
                worths[visit] = float(worth[pick])
                if max(worths.values()) == worths[visit] > -np.inf:
                    plan, cost, own = row(look.batch, pick), float(look.costs[pick]), float(look.errors[pick])
                    ahead = _AHEAD
                    break
        return plan

    def descend(
        self, plan: ChoiceBatch, weight: float, error: Error | None = None, fronts: Fronts | None = None
    ) -> ChoiceBatch:
        """The plan changed one layer after the other to make ln(cost) + weight x error less, until nothing changes."""
        return self._minimised(plan, lambda look: look.costs + weight * look.errors, error or self.error, fronts)

    def _minimised(
        self, plan: ChoiceBatch, objective: Callable[[Look], Floats], error: Error, fronts: Fronts | None
    ) -> ChoiceBatch:
        """The plan changed by one visit after the other to make the objective less.

        Of a layer's alternatives those that others beat in both cost and error are not looked at again: what they were
        beaten in changes little with the rest of the plan.
        """
        fronts, visits = {} if fronts is None else fronts, self._alternatives.visits
        done, unchanged, ahead = 0, 0, _AHEAD
        while done < _SWEEPS * visits and unchanged < visits:
            most = min(ahead, visits - unchanged, _SWEEPS * visits - done)
            ahead *= 2
            for _, look in self._looks(plan, [(done + i) % visits for i in range(most)], error, fronts):
                before, plan = plan, row(look.batch, int(np.argmin(objective(look))))
                done += 1
                if not same(plan, before):
                    unchanged, ahead = 0, _AHEAD
                    break
                unchanged += 1
        return plan

    def _looks(
        self, plan: ChoiceBatch, visits: Sequence[int], error: Error, fronts: Fronts
    ) -> Iterator[tuple[int, Look]]:
        """Visits with what they may make of a plan, without what is known to be beaten.

        Many are looked at together, which takes little longer than one; once the plan changes, the rest is in vain.
        """
        for parts, batch in self._alternatives.of(plan, visits, fronts):
            costs, errors = self.log_cost(batch), error(batch)
            for visit, key, part in parts:
                if key not in fronts:
                    fronts[key] = undominated(errors[part], costs[part])
                yield visit, Look(batch.rows(part), costs[part], errors[part])

    def _fronts(self, stop: _Stop, error: Error) -> Fronts:
        """Which alternatives to a plan of the path are worth a look; their costs are computed once for all errors."""
        fronts: Fronts = {}
        for number, (parts, batch) in enumerate(self._alternatives.of(stop.plan, range(self._alternatives.visits))):
            if number == len(stop.costs):
                stop.costs.append(self.log_cost(batch))
            costs, errors = stop.costs[number], error(batch)
            fronts |= {key: undominated(errors[part], costs[part]) for _, key, part in parts}
        return fronts


def _worth(look: Look, cost: float, own: float, limit: float) -> Floats:
    """[O] how much changes save of ``cost`` for the error that they add to ``own``; -inf where they are of no use.

    Beyond the limit those are of use that take error away, as far as it is too large; within it those that save
    something and stay there.
    """
    gains, added = cost - look.costs, look.errors - own
    if own > limit:
        useful, worth = added < -_LEAST_CHANGE * own, gains / np.minimum(-added, own - limit).clip(_TINY)
    else:
        useful, worth = (own + added <= limit) & (gains > _LEAST_CHANGE), gains / added.clip(_TINY)
    return np.where(useful, worth, -np.inf)


def undominated(errors: Floats, costs: Floats) -> NDArray[np.intp]:
    """Those [O] alternatives that none beats in both error and cost, by rising error."""
    order = np.lexsort((costs, errors))
    least = np.minimum.accumulate(np.concatenate([[np.inf], costs[order]]))[:-1]
    return order[costs[order] < least]
