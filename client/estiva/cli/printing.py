"""`--json` and `--quiet` stand behind every noun and verb as well as before, and `--wide` behind tables."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any

import typer

from estiva.cli.registries import AsJSON

OF_TABLES = frozenset({"ls", "ps", "audit", "discover", "diff", "failures", "preview", "run", "scrub"})
Wide = Annotated[bool, typer.Option("--wide", help="Print all of a table, however narrow the terminal is.")]
LessToSay = Annotated[bool, typer.Option("--quiet", "-q", help="Print the first column of a table alone.")]
_OPTIONS: dict[str, Any] = {"json": AsJSON, "quiet": LessToSay, "wide": Wide}


def printing(name: str, verb: Callable[..., Any]) -> Callable[..., Any]:
    """The verb with these options where it does not take them itself; it has to take the context."""
    told = inspect.signature(verb)
    own = {"json"} if "as_json" in told.parameters else set()
    own |= {"quiet"} & told.parameters.keys()
    more = {
        option: _OPTIONS[option] for option in _OPTIONS if option not in own and (option != "wide" or name in OF_TABLES)
    }

    @wraps(verb)
    def run(context: typer.Context, **given: Any) -> Any:
        for option in more:
            context.find_root().obj[option] |= given.pop(f"print_{option}")
        return verb(context=context, **given)

    added = [
        inspect.Parameter(f"print_{option}", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=annotation)
        for option, annotation in more.items()
    ]
    run.__signature__ = told.replace(parameters=[*told.parameters.values(), *added])  # type: ignore[attr-defined]
    run.__annotations__ = {**verb.__annotations__, **{one.name: one.annotation for one in added}}
    return run
