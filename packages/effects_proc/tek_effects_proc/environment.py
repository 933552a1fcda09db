"""What a command finds in its environment: some of the operator's variables, what was asked for, secrets by name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping

import attrs

from tek_abi.pattern import match_name
from tek_abi.policy import ENVIRONMENT
from tek_effects_proc.command import SECRET
from tek_effects_proc.scrub import SHORTEST
from tek_kernel.effect import EffectError


@attrs.frozen(repr=False)
class Environment:
    """A child's variables, and the secrets among them by the operator's names. Never shown: it holds secrets."""

    variables: dict[bytes, bytes]
    secrets: dict[str, bytes]


def allowed(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the operator's variables that every child sees."""
    return {name: value for name, value in environ.items() if any(match_name(p, name) for p in ENVIRONMENT)}


def child_environment(
    base: Mapping[str, str], asked: Iterable[tuple[str, str]], secret: Callable[[str], str | None]
) -> Environment:
    """Add what a request asks for to ``base``; ``secret:NAME`` is looked up now.

    Raises ``EffectError`` for a secret that the operator does not have, by its name alone.
    """
    variables = {os.fsencode(name): os.fsencode(value) for name, value in base.items()}
    secrets: dict[str, bytes] = {}
    for name, text in asked:
        value = text.encode()
        if text.startswith(SECRET):
            source = text.removeprefix(SECRET)
            value = secrets[source] = _secret(source, name, secret)
        variables[name.encode()] = value
    return Environment(variables, secrets)


def secret_names(asked: Iterable[tuple[str, str]]) -> list[str]:
    """Return the operator's variables that a request takes as secrets, in its order."""
    return [text.removeprefix(SECRET) for _, text in asked if text.startswith(SECRET)]


def _secret(source: str, variable: str, secret: Callable[[str], str | None]) -> bytes:
    value = secret(source)
    if value is None:
        message = f"{variable} takes the secret {source}, and the operator's environment has no such variable"
        raise EffectError("bad-request", message)
    if "\0" in value:
        raise EffectError("bad-request", f"the secret {source} holds NUL, which no variable can")
    data = os.fsencode(value)
    if 0 < len(data) < SHORTEST:
        message = f"the secret {source} has fewer than {SHORTEST} bytes, and so could not be taken out of output"
        raise EffectError("bad-request", message)
    return data
