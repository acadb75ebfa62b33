"""Ask the server of a model: a table as a request, its answer as a table again.

What a request looks like does not belong here (`predict`), nor what the types of a model's inputs
mean (`typed`).
"""

from typing import Any

from modelyard.client import predict, rest, typed
from modelyard.client.errors import NotFound, Refused, Unreachable

__all__ = ["ask"]


def ask(
    url: str,
    name: str,
    stage: str,
    given: predict.Table,
    *,
    protocol: predict.Protocol,
    seconds: float,
    namespace: str,
) -> Any:
    """Ask a model's server at its address. Arguments and errors as of `Models.predict`."""
    who = f"The model {name} in {stage}"
    if typed.unclear(given):
        given = typed.typed(given, _inputs(url, name, who, seconds))
    reply = rest.ask(
        url + predict.path(protocol, name),
        predict.request(protocol, given),
        who=who,
        seconds=seconds,
    )
    kind = rest.meaning(reply.code)
    if kind is NotFound:
        raise NotFound(
            f"{who} is not what answers at its address: {reply.said}",
            name=name,
            namespace=namespace,
        )
    if kind is Unreachable:
        raise Unreachable(f"{who} cannot answer now ({reply.code}): {reply.said}")
    if kind is not None:
        raise Refused(f"{who} refuses the input: {reply.said}")
    return predict.answer(protocol, reply.body, given)


def _inputs(url: str, name: str, who: str, seconds: float) -> tuple[typed.Input, ...]:
    """Ask a model's server for its inputs; it is asked for predictions next, and says then what is
    wrong with it.

    Raises:
        Unreachable: It does not answer, or cannot now.

    """
    reply = rest.ask(f"{url}/v2/models/{name}", who=who, seconds=seconds)
    if rest.meaning(reply.code) is Unreachable:
        raise Unreachable(f"{who} cannot answer now ({reply.code}): {reply.said}")
    return typed.inputs(reply.body) if reply.code == 200 else ()
