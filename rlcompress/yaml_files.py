"""Parsing YAML within limits: plain values only, no aliases, no key twice."""

import difflib
import itertools
from collections.abc import Iterator
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError
from yaml.nodes import MappingNode, Node, SequenceNode

from rlcompress.errors import problem_line
from rlcompress.files import LimitError, check_extent

_MAX_CHARACTERS = 200_000  # a hundred times a description
_MAX_DEPTH = 24
_MISSING = "Field required"
_UNKNOWN = "Extra inputs are not permitted"

Place = tuple[int | str, ...]


class _Loader(yaml.SafeLoader):
    """SafeLoader that refuses what makes small files large: aliases, deep nesting; and keys given twice."""

    depth = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.get_event()  # type: ignore[no-untyped-call]
            raise LimitError(f"line {event.start_mark.line + 1}: *{event.anchor[:60]} is an alias; write the value out")
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise LimitError(f"nested deeper than {_MAX_DEPTH} levels")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys: set[str] = set()
        for key, _ in node.value:
            if key.value.__hash__ is None:
                raise LimitError(f"line {key.start_mark.line + 1}: keys must be words")
            if key.value in keys:
                raise LimitError(f"line {key.start_mark.line + 1}: the key {key.value[:60]!r} is given twice")
            keys.add(key.value)
        return super().construct_mapping(node, deep)


def parse_yaml(text: str) -> tuple[Any, Node | None]:
    """The value of a YAML document, and its nodes, which know their lines.

    Raises:
        LimitError: the text is not YAML, or beyond a limit; the message is one line and names the line where it can.
    """
    if len(text) > _MAX_CHARACTERS:
        raise LimitError(f"it is longer than {_MAX_CHARACTERS} characters")
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            value = None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise LimitError(f"not valid YAML ({' '.join(str(error).split())})") from None
    except LimitError:
        raise
    except (ValueError, OverflowError, TypeError, RecursionError, AttributeError, LookupError) as error:
        raise LimitError(f"not valid YAML ({str(error)[:120]})") from None  # dates and numbers out of range
    check_extent(value)
    return value, node


def mistake(error: ValidationError, model: type[BaseModel], document: Node | None, kind: str = "a description") -> str:
    """What is wrong with a document that a model refuses, in one line: line, path, problem, mend.

    A key that the model does not know is told before others, with the key that was probably meant.
    """
    problems = error.errors(include_url=False)
    problem = next((p for p in problems if p["type"] == "extra_forbidden"), problems[0])
    place = problem["loc"]
    text = problem_line(problem if problem["type"] != "extra_forbidden" else {**problem, "input": {}})
    if place:
        text = text.replace(".".join(map(str, place)), ".".join(map(str, _written(place, document))), 1)
    known = {key.lower(): key for key in _known(model, place)}
    close = [known[key] for key in difflib.get_close_matches(str(place[-1]).lower() if place else "", known, n=1)]
    meant = f"did you mean {close[0]!r}?" if close else "mend its name or remove it"
    text = text.replace(_MISSING, "is missing; add this key").replace(_UNKNOWN, f"is no key of {kind}; {meant}")
    return f"line {_line(document, place)}: {text}"


def _written(place: Place, document: Node | None) -> Place:
    """A place without the parts that pydantic adds: the chosen member of a union."""
    written: list[int | str] = []
    node = document
    for i, part in enumerate(place):
        inner = _inner(node, part)
        if inner is None and i < len(place) - 1:
            continue
        node = inner[1] if inner else None
        written.append(part)
    return tuple(written)


def _line(document: Node | None, place: Place) -> int:
    """Line of the innermost key of ``place`` that the document has."""
    node, line = document, document.start_mark.line if document else 0
    for part in place:
        inner = _inner(node, part)
        if inner is not None:
            line, node = inner
    return line + 1


def _inner(node: Node | None, part: int | str) -> tuple[int, Node] | None:
    """Line and node of one key or position of a node."""
    if isinstance(node, MappingNode):
        return next(((key.start_mark.line, value) for key, value in node.value if key.value == str(part)), None)
    if isinstance(node, SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part].start_mark.line, node.value[part]
    return None


def _known(model: type[BaseModel], place: Place) -> list[str]:
    """Keys that the model has where ``place`` ends."""
    models = [model]
    for part in place[:-1]:
        fields = [found.model_fields[part] for found in models if part in found.model_fields]
        models = [inner for field in fields for inner in _models(field.annotation)] or models
    return list(itertools.chain.from_iterable(found.model_fields for found in models))


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)
