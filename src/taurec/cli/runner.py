"""The one way from a study to a command: options from its signature, work, files, and what is shown."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from taurec.cli import options as o
from taurec.cli.config import Config
from taurec.cli.signature import Group, groups_of
from taurec.errors import UsageError

if TYPE_CHECKING:
    from taurec.cli.output import Output
    from taurec.studies.names import Names
    from taurec.studies.result import Result

Study = Callable[..., "Result"]

_OUTPUT = "Output"


def output_options(json_to: str) -> dict[str, tuple[Any, Any]]:
    """The options that every study's command has: name -> (annotation, default).

    Args:
        json_to: the parameter that names the file for the document, ``out`` or ``report``.
    """
    return {
        "html": (_file("Write a page to FILE.html."), None),
        json_to: (_file("Write everything to FILE.json."), None),
        "private": (
            Annotated[bool, typer.Option("--private", help="Write hashes instead of ids.", rich_help_panel=_OUTPUT)],
            False,
        ),
        "as_json": (o.Json, False),
        "quiet": (o.Quiet, False),
        "config": (Config, None),
    }


def _file(text: str) -> Any:
    return Annotated[Path | None, typer.Option(metavar="FILE", help=text, rich_help_panel=_OUTPUT)]


def command_of(study: Study) -> Callable[..., None]:
    """A function with typer's annotations that runs a study; its docstring is that of the study."""
    groups = groups_of(study)
    json_to = "report" if "out" in groups else "out"
    common = output_options(json_to)

    def command(**given: Any) -> None:
        _run(study, groups, json_to, given)

    parameters = [inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)]
    for group in groups.values():
        parameters += group.parameters
    for name, (hint, default) in common.items():
        if all(name != p.name for p in parameters):
            parameters.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hint))
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    command.__doc__ = _unwrapped(inspect.getdoc(study) or "")
    return command


def _unwrapped(text: str) -> str:
    """A docstring with one line per paragraph, which help wraps at the width of the terminal."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def _run(study: Study, groups: Mapping[str, Group], json_to: str, given: Mapping[str, Any]) -> None:
    from taurec.cli.failures import Stopped
    from taurec.cli.output import Output
    from taurec.cli.typed import typed_command
    from taurec.studies.names import Hashed, Names
    from taurec.studies.result import Interrupted

    html, out, private = given["html"], given[json_to], given["private"]
    own = {name: group.value(given) for name, group in groups.items()}
    _check_targets([*((v, e, f"--{n}") for g in groups.values() for n, v, e in g.files(given)),
                    (out, (".json",), f"--{json_to}"), (html, (".html",), "--html")])  # fmt: skip
    if html is not None:
        from taurec.report.extras import require

        require()
    accepts = inspect.signature(study).parameters
    names = Hashed() if private else Names()
    if private and html is None and "names" not in accepts:
        raise UsageError("--private hashes the ids in the page; add --html FILE, the rest shows no ids")
    output = Output(given["as_json"], given["quiet"])
    with _hooks(output, names, accepts) as hooks:
        try:
            result = study(**own, **hooks)
        except Interrupted as stopped:
            output.note(f"warning: {stopped}")
            raise Stopped(stopped.signum) from None
    write(result, output, out=out, html=html, command=typed_command(given["context"]), names=names, option=json_to)
    show(result, output)
    if result.stopped_by:
        raise Stopped(result.stopped_by)


def write(
    result: Result, output: Output, *, out: Path | None, html: Path | None, command: str, names: Names, option: str
) -> None:
    """Write the files of a result and, in JSON mode, print its document."""
    from taurec.report import json

    if out is None and html is None and not output.as_json:
        return
    content = json.document(result) if out is not None or output.as_json else None
    if out is not None:
        from taurec.studies.files import write_text

        write_text(out, json.text(content) + "\n", f"--{option}")
        output.written(out)
    if html is not None:
        from taurec.provenance import facts
        from taurec.report.page import write_page
        from taurec.report.result_page import result_page

        output.note("writing the page")
        write_page(result_page(result, command, facts(), names), html)
        output.written(html)
    output.document(content)


def show(result: Result, output: Output) -> None:
    """Print a result: tables, verdict, and the next commands."""
    if output.as_json:
        return
    from taurec.report.terminal import parts

    for part in parts(result, output.out.width):
        output.say(part)
    if result.commands():
        output.say("\nNext:")
    for line in result.commands():
        output.command(line)


@contextlib.contextmanager
def _hooks(output: Output, names: Names, accepts: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The arguments that a study gets from its runner, by the names of its parameters."""
    with contextlib.ExitStack() as stack:
        found: dict[str, Any] = {}
        if "on_progress" in accepts:
            from taurec.cli.output import progress_line

            found["on_progress"] = stack.enter_context(progress_line(output))
        if "on_epoch" in accepts:
            from taurec.report.progress import show as progress

            found["on_epoch"] = stack.enter_context(progress(output.err, output.quiet))
        if "on_note" in accepts:
            found["on_note"] = output.note
        if "names" in accepts:
            found["names"] = names
        yield found


def _check_targets(targets: list[tuple[Path | None, tuple[str, ...], str]]) -> None:
    from taurec.studies.files import check_target

    for path, endings, option in targets:
        if path is not None:
            check_target(path, list(endings), option)
