"""Turns exceptions into one line on stderr and an exit code."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from typing import NoReturn

import typer

from taurec.errors import ResourceError, TaurecError, UsageError

_OUT_OF_RESOURCES = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE}


class Stopped(BaseException):
    """A signal ended the command after its state was saved; the exit code is 128 + ``signum``.

    No ``except Exception`` holds it up, such as the one around a model that may fail.
    """

    def __init__(self, signum: int):
        super().__init__(signum)
        self.exit_code = 128 + signum


def run(app: typer.Typer, argv: Sequence[str]) -> int:
    """Run a command of the app and return its exit code; an error is printed in one line.

    ``--debug``, anywhere before ``--``, adds the traceback.
    """
    end = argv.index("--") if "--" in argv else len(argv)
    arguments = [*(word for word in argv[:end] if word != "--debug"), *argv[end:]]
    debug = "--debug" in argv[:end]
    command = typer.main.get_command(app)
    try:
        with _terminate_as_exit(), command.make_context("taurec", arguments or ["--help"]) as context:
            command.invoke(context)
        sys.stdout.flush()
        return 0
    except BaseException as error:
        return _exit_code_of(error, debug)
    finally:
        # Later log records do not belong to the command, and its streams may be closed by then.
        logging.getLogger("taurec").handlers.clear()


def _exit_code_of(error: BaseException, debug: bool) -> int:
    """The exit code of an error, which is printed unless it only ends the command."""
    if isinstance(error, BrokenPipeError) or isinstance(error.__context__, BrokenPipeError):
        return _pipe_closed()
    if isinstance(error, typer.Exit | Stopped):
        return error.exit_code
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    if debug and not hasattr(error, "format_message"):
        traceback.print_exception(error)
    message = " ".join(str(error).split())[:300]
    colon = f": {message}" if message else ""
    code = ResourceError.exit_code
    if isinstance(error, TaurecError):
        code, text = error.exit_code, str(error)
    elif isinstance(error, KeyboardInterrupt):
        code, text = 128 + signal.SIGINT, "interrupted"
    elif hasattr(error, "format_message"):
        code, text = 2, _usage_text(error)
    elif isinstance(error, MemoryError):
        text = f"out of memory{colon}; use fewer users, a smaller dim or batch"
    elif isinstance(error, OSError) and error.errno in _OUT_OF_RESOURCES:
        text = (f"{error.filename}: " if error.filename else "") + (error.strerror or str(error)).lower()
    elif (blame := _blamed(error)) is not None:
        code, text = UsageError.exit_code, f"{blame[0]} raised {blame[1]}; --debug shows the traceback"
    else:
        kind = type(error).__name__
        code, text = 1, f"internal error: {kind}{colon}; this is a defect of TauRec; --debug shows the traceback"
    with contextlib.suppress(OSError):
        print(f"error: {text}", file=sys.stderr)
    return code


def _blamed(error: BaseException) -> tuple[str, str] | None:
    from taurec.plugins import blamed

    return blamed(error)


def _usage_text(error: BaseException) -> str:
    """The text of a usage error of typer, in the form of TauRec's errors."""
    context = getattr(error, "ctx", None)
    near = getattr(error, "possibilities", None)
    option = getattr(error, "option_name", None)
    if option is not None and hasattr(error, "possibilities"):
        text = f"no such option {option}" + (f"; did you mean {near[0]}?" if near else ";")
    else:
        message = str(error.format_message()).rstrip(".")  # type: ignore[attr-defined]
        text = ": ".join(part[:1].lower() + part[1:] for part in message.split(": "))
        text = text.replace(". Did you mean", "; did you mean")
        text += "" if text.endswith("?") else ";"
    command = context.command_path if context is not None else "taurec"
    return f"{text} see {command} --help"


def _pipe_closed() -> int:
    """End quietly when the reader, such as ``head``, has closed the pipe; a later flush must not raise."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            os.dup2(nowhere, stream.fileno())
    return 0


@contextlib.contextmanager
def _terminate_as_exit() -> Iterator[None]:
    """Within the block SIGTERM unwinds the stack, so that temporary files are removed, and exits with 143."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(signum: int, frame: object) -> NoReturn:
        raise Stopped(signum)

    former = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)
