"""The methods of `client.models` that call a model's server: a table goes in, a table comes out."""

from typing import Any

from modelyard.client import predict, rest, typed
from modelyard.client.errors import NotFound, Refused, Unreachable
from modelyard.client.model_methods import ModelMethods
from modelyard.client.versions import ModelHandle

__all__ = ["Inference", "ask"]


class Inference(ModelMethods):
    """Predict."""

    def predict(
        self,
        name: str,
        data: Any,
        stage: str = "production",
        *,
        protocol: predict.Protocol = "v2",
        seconds: float = 60,
    ) -> Any:
        """Predict with the version that serves a stage.

        Where the values alone do not give a column's type (all values missing; rows of mixed types
        without names), the client asks the server for the model's signature.

        Args:
            name: The model.
            data: Rows: a list of lists, a dict of columns, a numpy array or a pandas DataFrame,
                of shape (rows, features).
            stage: The stage.
            protocol: `v2` (Open Inference Protocol), `v1` or `invocations` (MLflow's).
            seconds: How long the server may take to answer.

        Returns:
            One entry per row: a numpy array if `data` was an array or a DataFrame, else a list. A
                dict of them by name if the model has several outputs.

        Raises:
            NotFound: There is no such model, or the stage serves nothing.
            Refused: The server refuses the input; the text is its own.
            Unreachable: The server does not answer.
            ValueError: `data` is no table, or a value read from a CSV file does not have the type
                that the model declares.

        """
        given = predict.table(data)
        return ask(
            self.url(name, stage),
            name,
            stage,
            given,
            protocol=protocol,
            seconds=seconds,
            namespace=self._kube.namespace,
        )

    def url(self, name: str, stage: str = "production") -> str:
        """Return the URL of a stage's server, as this machine reaches it.

        It is valid until the client is closed: outside of the cluster it is a port-forward.

        Raises:
            NotFound: There is no such model, or the stage serves nothing.
            Unreachable: None of its pods is ready.

        """
        model = self._model(name)
        found = model.object.status.stages.get(stage)
        if found is None or found.url is None:
            raise NotFound(_serves_nothing(model, stage), name=stage, namespace=model.namespace)
        return self._reach.url(found.url)


def _serves_nothing(model: ModelHandle, stage: str) -> str:
    """Say why a stage has no server, and which stages have one."""
    spec, status = model.object.spec.stages.get(stage), model.object.status.stages.get(stage)
    version = status.version if status is not None else None
    why = f"Nothing serves {stage} of {model.namespace}/{model.name}."
    if version is not None and spec is not None and spec.serving.replicas == 0:
        why = (
            f"{version} is effective in {stage} of {model.namespace}/{model.name}, and has no pods:"
            " its serving.replicas is 0."
        )
    serving = [each for each, other in model.object.status.stages.items() if other.url]
    return f"{why} Served: {', '.join(serving)}." if serving else why


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
    """Send a table to a model's server at `url`. Arguments and errors: see `Inference.predict`."""
    subject = f"The model {name} in {stage}"
    if typed.unclear(given):
        given = typed.typed(given, _inputs(url, name, subject, seconds))
    reply = rest.ask(
        url + predict.path(protocol, name),
        predict.request(protocol, given),
        who=subject,
        seconds=seconds,
    )
    kind = rest.meaning(reply.code)
    if kind is NotFound:
        raise NotFound(
            f"{subject} is not served at its address: {reply.error_text}",
            name=name,
            namespace=namespace,
        )
    if kind is Unreachable:
        raise Unreachable(f"{subject} cannot answer now ({reply.code}): {reply.error_text}")
    if kind is not None:
        raise Refused(f"{subject} refuses the input: {reply.error_text}")
    return predict.answer(protocol, reply.body, given)


def _inputs(url: str, name: str, subject: str, seconds: float) -> tuple[typed.Input, ...]:
    """Ask a model's server for the model's inputs; none if it refuses.

    A refusal is not an error here: the request for predictions follows, and reports it.

    Raises:
        Unreachable: The server does not answer, or cannot answer now.

    """
    reply = rest.ask(f"{url}/v2/models/{name}", who=subject, seconds=seconds)
    if rest.meaning(reply.code) is Unreachable:
        raise Unreachable(f"{subject} cannot answer now ({reply.code}): {reply.error_text}")
    return typed.inputs(reply.body) if reply.code == 200 else ()
