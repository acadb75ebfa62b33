"""The image's health check for plain Docker; on Kubernetes the probes replace it.

    python -m modelyard_runtime.health

A container without a model server is healthy as long as it runs.
"""

import sys
import urllib.error
import urllib.request

from modelyard.api.wire import LIVE_PATH, SERVING_PORT

__all__ = ["main"]


def main() -> int:
    """Return 0 if the model server is live, or if there is none."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{SERVING_PORT}{LIVE_PATH}", timeout=4):
            return 0
    except urllib.error.HTTPError:
        return 1
    except urllib.error.URLError as error:
        return 0 if isinstance(error.reason, ConnectionRefusedError) else 1


if __name__ == "__main__":
    sys.exit(main())
