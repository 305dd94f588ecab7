"""Layer specs as JSON: the built-in networks' cards, and a run folder's network.json."""

import json
from collections.abc import Sequence

from pydantic import TypeAdapter, ValidationError

from rlcompress.errors import NetworkError, first_problem
from rlcompress.files import LimitError, parse_json
from rlcompress.spec.layer import LayerSpec, as_row

_SPECS = TypeAdapter(tuple[LayerSpec, ...])


def specs_to_json(specs: Sequence[LayerSpec]) -> str:
    """Specs as a JSON list, one a line, ending in a newline."""
    return "[\n" + ",\n".join(json.dumps(as_row(spec)) for spec in specs) + "\n]\n"


def specs_from_json(text: str, source: str) -> tuple[LayerSpec, ...]:
    """Parse `specs_to_json`'s format; ``source`` says in messages where the text came from.

    Raises:
        NetworkError: the text is no list of specs.
    """
    try:
        return _SPECS.validate_python(parse_json(text))
    except ValidationError as error:
        raise NetworkError(f"{source}: not a list of layer specs ({first_problem(error)})") from None
    except (LimitError, NetworkError) as error:
        raise NetworkError(f"{source}: not a list of layer specs ({error})") from None
