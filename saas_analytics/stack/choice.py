"""Which of the two stacks a checkout has: containers, or the embedded one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from saas_analytics.layout import Layout, StackError
from saas_analytics.settings import Settings
from saas_analytics.stack.compose import engine_answers

Stack = Literal["docker", "local"]
_INSIDE = "inside"  # a container: what is asked for is done here


def chosen_stack(root: Path) -> tuple[Stack, str]:
    """The stack that commands work with, and why: `STACK`; otherwise the one that `make up` started last; otherwise
    containers where a Docker engine answers.
    """
    note = _note(root)
    match os.environ.get("STACK", ""):
        case "docker":
            return "docker", "asked for by STACK=docker"
        case "local":
            return "local", "asked for by STACK=local"
        case inside if inside == _INSIDE:
            return "local", "in a container"
        case "":
            pass
        case other:
            raise StackError(
                f"STACK={other}: there is no such stack. Leave STACK out, or say STACK=docker or local."
            )
    if note.exists():
        return (
            "docker" if note.read_text().strip() == "docker" else "local"
        ), "the one of this checkout"
    if Layout(root).postgres.exists():
        return "local", "the one of this checkout"
    if engine_answers():
        return "docker", "a Docker engine answers; STACK=local needs none"
    return "local", "no Docker engine answers"


def published_on(settings: Settings) -> str:
    """The address at which this machine finds what the stack serves."""
    note = _note(settings.root)
    kind = os.environ.get("STACK") or (note.read_text().strip() if note.exists() else "local")
    everywhere = settings.stack_address in ("0.0.0.0", "::")
    return settings.stack_address if kind == "docker" and not everywhere else "127.0.0.1"


def remember(root: Path, stack: Stack) -> None:
    """Keep `stack` as the one of this checkout."""
    note = _note(root)
    note.parent.mkdir(exist_ok=True)
    note.write_text(stack + "\n")


def _note(root: Path) -> Path:
    return Layout(root).local / "stack"
