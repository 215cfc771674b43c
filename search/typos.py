"""A mistake on the command line, with what was probably meant."""

import difflib
from typing import Any

import typer

SIMILAR = 0.5


def told(error: typer.TyperException) -> str:
    """The error in one line; an unknown verb or option with the nearest one, or where to look.

    What the command line suggests by itself is kept for verbs; for options the nearest one is named first.
    """
    message, context = str(error.format_message()), getattr(error, "ctx", None)
    command = getattr(context, "command", None)
    option = getattr(error, "option_name", None)
    if command is None:
        return message
    if type(error).__name__ == "NoSuchOption" and option is not None:
        known = [name for one in command.params for name in (*one.opts, *one.secondary_opts)]
        return _with(str(error.message), option, [name for name in known if name.startswith("-")], command)
    if message.startswith("No such command") and "Did you mean" not in message:
        verbs = ", ".join(getattr(command, "commands", {}))
        return f"{message.rstrip('.')}: it is one of {verbs}" if verbs else message
    return message


def _with(message: str, given: str, known: list[str], command: Any) -> str:
    found = difflib.get_close_matches(given, known, n=1, cutoff=SIMILAR)
    verb = command.name or ""
    return f"{message}: did you mean {found[0]}?" if found else f"{message}: {verb} --help lists all"
