"""Deletes the objects that go with the release, while the operator is still there to clean up after them, and waits until they are gone.

Run by `helm uninstall`, in a pod, with a ServiceAccount that may list and delete them. Arguments: the namespaces to empty; `--all` for
every one. Environment besides Kubernetes' own: SECONDS_TO_WAIT, SERVICE_ACCOUNT (the folder of the account's token and authority),
POLICIES (ValidatingAdmissionPolicies and bindings that are deleted at the end, before helm deletes the CRDs: names with spaces between).
"""

import json
import os
import ssl
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

ACCOUNT = Path(os.environ.get("SERVICE_ACCOUNT", "/var/run/secrets/kubernetes.io/serviceaccount"))
API = f"https://{os.environ['KUBERNETES_SERVICE_HOST']}:{os.environ['KUBERNETES_SERVICE_PORT']}"
GROUP = "/apis/modelyard.io/v1alpha1"
# Models first: they are served from what the others made.
KINDS = ("registeredmodels", "trainingruns", "experiments")
SECONDS = int(os.environ.get("SECONDS_TO_WAIT", "240"))
# Some policies read RegisteredModels as parameters. Without that CRD they would refuse the requests that they match.
POLICIES = os.environ.get("POLICIES", "").split()
ADMISSION = "/apis/admissionregistration.k8s.io/v1"


DEADLINE = time.monotonic() + SECONDS


def ask(method: str, path: str) -> dict | None:
    """Ask the API server, again while it says "later"; None when there is no such thing."""
    while True:
        token = (ACCOUNT / "token").read_text()  # read anew: it is rotated
        request = urllib.request.Request(API + path, method=method, headers={"Authorization": f"Bearer {token}"})
        try:
            with urllib.request.urlopen(request, timeout=30, context=ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            text = error.read().decode(errors="replace")
            said = json.loads(text).get("message", "") if text.startswith("{") else text
            trouble, later = f"{error.code} {said}", error.code == 429 or error.code >= 500
        except OSError as error:
            trouble, later = str(error), True
        if not later or time.monotonic() > DEADLINE:
            sys.exit(f"{method} {path}: {trouble}")
        time.sleep(1)


def left(scopes: list[str]) -> list[tuple[str, str]]:
    """Return kind and path of every object that is there."""
    found = []
    for scope in scopes:
        for kind in KINDS:
            for item in (ask("GET", f"{GROUP}{scope}/{kind}") or {"items": []})["items"]:
                meta = item["metadata"]
                found.append((kind, f"{GROUP}/namespaces/{meta['namespace']}/{kind}/{meta['name']}"))
    return found


def main() -> None:
    """Delete, and wait."""
    scopes = [""] if "--all" in sys.argv[1:] else [f"/namespaces/{name}" for name in sys.argv[1:]]
    told = None
    objects = left(scopes)
    for kind, path in objects:
        print(f"deleting {kind} {path.split('/')[-3]}/{path.split('/')[-1]}", flush=True)
        ask("DELETE", path)
    while objects:
        if time.monotonic() > DEADLINE:
            names = ", ".join(f"{kind} {path.split('/')[-3]}/{path.split('/')[-1]}" for kind, path in objects[:10])
            sys.exit(
                f"{len(objects)} objects are still there after {SECONDS} s: {names}. The operator does what their deletionPolicy says "
                "before they go: see whether it runs and whether MLflow answers, then uninstall again. "
                "`helm uninstall --no-hooks` leaves them behind."
            )
        if told != len(objects):
            told = len(objects)
            print(f"waiting for {told} objects to go", flush=True)
        time.sleep(1)
        objects = left(scopes)
    for kind in ("validatingadmissionpolicybindings", "validatingadmissionpolicies"):
        for name in POLICIES:
            ask("DELETE", f"{ADMISSION}/{kind}/{name}")
    print("nothing is left that the operator would have to clean up")


main()
