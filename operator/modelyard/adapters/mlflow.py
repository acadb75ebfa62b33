"""One tenant's MLflow: `ports.Tracking` on MLflow's REST API 2.0, as of 3.17.

Decision 0006 explains why MLflow's own client is not used.
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
    """`ports.Tracking` with one tenant's credentials. Create it inside a running event loop."""

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
        """Create the client; no request is made.

        Args:
            uri: MLflow's address.
            credentials: The tenant's credentials.
            timer: Measures every request.
            deadline: Seconds for one call.
            tls: The trusted authorities; None: OpenSSL's defaults.
            limits: Permitted addresses, and limits on answers.

        """
        super().__init__(Rest(uri, credentials, timer, deadline=deadline, tls=tls, limits=limits))

    async def close(self) -> None:
        """Close the session when the calls under way have ended."""
        await self._rest.close()
