"""One tenant's MLflow: `ports.Tracking` on MLflow's REST API 2.0, as of 3.17 (decision 0006 says
why not MLflow's client).

HTTP does not belong here (`mlflow_rest`), nor do the endpoints (`mlflow_experiments`,
`mlflow_runs`, `mlflow_registry`).
"""

import ssl

from modelyard.adapters.bounds import Limits
from modelyard.adapters.instrument import CallTimer
from modelyard.adapters.mlflow_experiments import Experiments
from modelyard.adapters.mlflow_registry import Registry
from modelyard.adapters.mlflow_rest import Credentials, Rest
from modelyard.adapters.mlflow_runs import Runs

__all__ = ["Credentials", "Mlflow"]


class Mlflow(Experiments, Runs, Registry):
    """`ports.Tracking`, with one tenant's credentials. Make it inside of a running event loop."""

    def __init__(
        self,
        uri: str,
        credentials: Credentials,
        timer: CallTimer,
        *,
        deadline: float = 10.0,
        tls: ssl.SSLContext | None = None,
        limits: Limits | None = None,
    ) -> None:
        """Make the client; no request is made.

        Args:
            uri: MLflow's address.
            credentials: The tenant's own.
            timer: Measures every request.
            deadline: Seconds for one call.
            tls: Whom to trust; None: OpenSSL's own rules.
            limits: Who may be connected to, and how much is taken in.

        """
        super().__init__(Rest(uri, credentials, timer, deadline=deadline, tls=tls, limits=limits))

    async def close(self) -> None:
        """Close the session when the calls in flight have ended."""
        await self._rest.close()
