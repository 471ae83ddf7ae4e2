"""The one way from a study to a command: options from its signature, work, files, and what is shown."""

from __future__ import annotations

import contextlib
import inspect
import shlex
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from taurec.cli import options as o
from taurec.cli.config import Config
from taurec.cli.signature import Group, for_typer, groups_of
from taurec.errors import UsageError
from taurec.studies import Study

if TYPE_CHECKING:
    from taurec.cli.output import Output
    from taurec.studies.names import Names
    from taurec.studies.result import Result


def output_options(json_to: str) -> list[inspect.Parameter]:
    """The options that every study's command has; ``json_to`` names the file for the document, out or report."""
    return [
        o.option("html", Path, o.OUTPUT, "Write a page to FILE.html.", metavar="FILE"),
        o.option(json_to, Path, o.OUTPUT, "Write everything to FILE.json.", metavar="FILE"),
        o.option("private", bool, o.OUTPUT, "Write hashes instead of ids."),
        o.parameter("as_json", o.Json, False),
        o.parameter("quiet", o.Quiet, False),
        o.parameter("config", Config),
    ]


def command_of(study: Study) -> Callable[..., None]:
    """A function with typer's annotations that runs a study; its docstring is that of the study."""
    groups = groups_of(study)
    json_to = "report" if "out" in groups else "out"

    def command(**given: Any) -> None:
        _run(study, groups, json_to, given)

    own = [o.parameter("context", typer.Context, inspect.Parameter.empty)]
    own += [parameter for group in groups.values() for parameter in group.parameters]
    names = {parameter.name for parameter in own}
    # one line per paragraph, which help wraps at the width of the terminal
    command.__doc__ = "\n\n".join(" ".join(part.split()) for part in (inspect.getdoc(study) or "").split("\n\n"))
    return for_typer(command, [*own, *(p for p in output_options(json_to) if p.name not in names)])


def _run(study: Study, groups: Mapping[str, Group], json_to: str, given: Mapping[str, Any]) -> None:
    from taurec.cli.failures import Stopped
    from taurec.cli.output import Output
    from taurec.studies.files import check_target
    from taurec.studies.names import Hashed, Names
    from taurec.studies.result import Interrupted

    own = {name: group.value(given) for name, group in groups.items()}
    endings = {name: group.endings for name, group in groups.items() if group.endings}
    for name, accepted in {**endings, json_to: (".json",), "html": (".html",)}.items():
        if given[name] is not None:
            check_target(given[name], accepted, f"--{name.replace('_', '-')}")
    if given["html"] is not None:
        from taurec.report.plots import require

        require()
    accepts = inspect.signature(study).parameters
    names = Hashed() if given["private"] else Names()
    if given["private"] and given["html"] is None and "names" not in accepts:
        raise UsageError("--private hashes the ids in the page; add --html FILE, the rest shows no ids")
    output = Output(given["as_json"], given["quiet"])
    with _hooks(output, names, accepts) as hooks:
        try:
            result = study(**own, **hooks)
        except Interrupted as stopped:
            output.note(f"warning: {stopped}")
            raise Stopped(stopped.signum) from None
    _write(result, output, names, json_to, given)
    show(result, output)
    if result.stopped_by:
        raise Stopped(result.stopped_by)


def _write(result: Result, output: Output, names: Names, json_to: str, given: Mapping[str, Any]) -> None:
    """Write the files of a result and, in JSON mode, print its document."""
    from taurec.provenance import facts
    from taurec.report import json
    from taurec.report.page import write_page
    from taurec.report.result_page import result_page
    from taurec.studies.files import write_text

    out, html = given[json_to], given["html"]
    content = json.document(result) if out is not None or output.as_json else None
    if out is not None:
        write_text(out, json.text(content) + "\n", f"--{json_to}")
        output.note(f"written to {out}")
    if html is not None:
        output.note("writing the page")
        write_page(result_page(result, typed_command(given["context"]), facts(), names), html)
        output.note(f"written to {html}")
    output.document(content)


def show(result: Result, output: Output) -> None:
    """Print a result: tables, verdict, and the next commands; nothing in JSON mode."""
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
    from taurec.cli.output import progress_line
    from taurec.report.progress import show as progress

    with contextlib.ExitStack() as stack:
        found: dict[str, Any] = {"on_note": output.note, "names": names}
        if "on_progress" in accepts:
            found["on_progress"] = stack.enter_context(progress_line(output))
        if "on_epoch" in accepts:
            found["on_epoch"] = stack.enter_context(progress(output.err, output.quiet))
        yield {name: value for name, value in found.items() if name in accepts}


def typed_command(context: typer.Context) -> str:
    """The current command as text to copy, from the parsed values: arguments first, then the options that were given.

    The context comes from a parameter of the command's function, ``context: typer.Context``.
    """
    arguments: list[str] = []
    options: list[str] = []
    for parameter in context.command.params:
        name, value = parameter.name or "", context.params.get(parameter.name or "")
        source = context.get_parameter_source(name)
        if source is None or source.name != "COMMANDLINE" or value is None:
            continue
        words = [str(one) for one in value] if isinstance(value, list | tuple) else [str(value)]
        if parameter.param_type_name == "argument":
            arguments += words
        elif isinstance(value, bool):
            options.append(parameter.opts[0] if value else (parameter.secondary_opts or parameter.opts)[0])
        else:
            options += [word for one in words for word in (parameter.opts[-1], one)]
    return shlex.join([*context.command_path.split(), *arguments, *options])
