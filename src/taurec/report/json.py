"""The JSON document of a result: its plain values, with the name of their schema and the version of TauRec."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from taurec.studies.result import Result


def document(result: Result) -> dict[str, Any] | list[Any]:
    """The document of a result, with the keys ``schema`` and ``version`` first; a list stays as it is."""
    from taurec import __version__

    content = plain(result.document())
    return content if isinstance(content, list) else {"schema": result.schema, "version": __version__, **content}


def text(content: Any) -> str:
    """JSON as it is written and printed."""
    return json.dumps(plain(content), indent=2, ensure_ascii=False)


def plain(value: Any) -> Any:
    """``value`` made of what JSON knows; a number that is not finite becomes null.

    >>> plain({"a": (1, float("nan"))})
    {'a': [1, None]}
    """
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(v) for v in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | bool | int):
        return value
    import numpy as np

    if isinstance(value, np.generic):
        return plain(value.item())
    return str(value)
