"""Which of the two stacks a checkout uses: the one in containers, or the embedded one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from saas_analytics.layout import Layout, StackError
from saas_analytics.settings import Settings
from saas_analytics.stack.compose import engine_answers

Stack = Literal["docker", "local"]
_INSIDE = "inside"  # this process runs in a container of the stack


def chosen_stack(root: Path) -> tuple[Stack, str]:
    """The stack that commands work with, and why.

    `STACK` decides; otherwise it is the one that `make up` started last; otherwise containers if a
    Docker engine answers. StackError for an unknown `STACK`.
    """
    note = _note(root)
    match os.environ.get("STACK", ""):
        case "docker":
            return "docker", "because of STACK=docker"
        case "local":
            return "local", "because of STACK=local"
        case inside if inside == _INSIDE:
            return "local", "in a container"
        case "":
            pass
        case other:
            raise StackError(
                f"STACK={other} is not a stack. Unset STACK, or set it to docker or local."
            )
    if note.exists():
        kind: Stack = "docker" if note.read_text().strip() == "docker" else "local"
        return kind, "the stack of this checkout"
    if Layout(root).postgres.exists():
        return "local", "the stack of this checkout"
    if engine_answers():
        return "docker", "a Docker engine answers; STACK=local works without one"
    return "local", "no Docker engine answers"


def published_on(settings: Settings) -> str:
    """The address at which this machine reaches the web pages of the stack."""
    note = _note(settings.root)
    kind = os.environ.get("STACK") or (note.read_text().strip() if note.exists() else "local")
    everywhere = settings.stack_address in ("0.0.0.0", "::")
    return settings.stack_address if kind == "docker" and not everywhere else "127.0.0.1"


def remember(root: Path, stack: Stack) -> None:
    """Record `stack` as the one of this checkout."""
    note = _note(root)
    note.parent.mkdir(exist_ok=True)
    note.write_text(stack + "\n")


def _note(root: Path) -> Path:
    return Layout(root).local / "stack"
