"""The steps of the demo: train, promote, predict, promote under load, roll back."""

import json
from datetime import datetime
from typing import Any

from tests.demo import install
from tests.demo.kube import Failed, Kube, Manifest, condition
from tests.demo.load import Result, steady_load
from tests.demo.registry import resolve, rows
from tests.demo.screen import Screen

__all__ = ["Story"]

SAMPLES = "manifests/samples/fraud"
NAMESPACE, MODEL, STAGE = "risk", "fraud", "production"
FIRST, SECOND = "fraud-v1", "fraud-v2"
RATE = 50
TRAINING_SECONDS = 600
SERVING_SECONDS = 180


def seconds_between(first: str | None, last: str | None) -> float:
    """Return the seconds between two times as Kubernetes writes them."""
    if not first or not last:
        return 0.0
    return (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()


class Story:
    """Runs the demo step by step, and reuses what an earlier run has created."""

    def __init__(self, kube: Kube, screen: Screen) -> None:
        self.kube, self.screen = kube, screen
        self.table = rows(3)

    def tell(self) -> None:
        """Run all steps."""
        begun = self.screen.elapsed
        self.install()
        self.apply()
        self.train(FIRST)
        self.promote("v1")
        self.predict()
        self.screen.say(f"From helm to the first prediction: {self.screen.elapsed - begun:.0f} s.")
        self.train_second()
        self.promote_under_load(
            "v2",
            "6. Promote v2 under load: 50 requests a second from inside the cluster",
        )
        self.promote_under_load("v1", "7. Roll back under load: the same patch with v1")
        self.history()
        self.look_around()

    # --- the steps --------------------------------------------------------------------------------
    def install(self) -> None:
        """Install the operator, MLflow and MinIO."""
        self.screen.step(
            "2. Install the operator with its Helm chart, and MLflow and MinIO with it"
        )
        self.screen.command(f"helm {' '.join(install.COMMAND)}")
        install.install(self.kube)
        for words, name in install.DEPLOYMENTS.items():
            self.kube.wait_rolled_out(name, install.NAMESPACE)
            self.screen.good(f"{words} is ready")

    def apply(self) -> None:
        """Apply the sample's experiment, first training and model."""
        self.screen.step("3. Apply an Experiment, a TrainingRun and a RegisteredModel")
        names = ("experiment", "training-run-v1", "registered-model")
        files = " ".join(f"-f {SAMPLES}/{name}.yaml" for name in names)
        self.show(f"kubectl apply {files}")

    def show(self, command: str) -> None:
        """Run a kubectl command and show its output."""
        self.screen.command(command)
        self.screen.block(self.kube.kubectl(*command.split()[1:]))

    def train(self, name: str) -> None:
        """Follow a training to its end."""
        body = self.kube.get("TrainingRun", name, NAMESPACE)
        if condition(body, "Ready").get("status") == "True":
            self.screen.say(f"{name} was trained in an earlier demo.")
        else:
            body = self.kube.wait(
                f"TrainingRun {name} trains",
                lambda: self.look_at_training(name),
                TRAINING_SECONDS,
                lambda: self.kube.explain("TrainingRun", name, NAMESPACE),
            )
            self.screen.close()
            status = body["status"]
            took = seconds_between(status.get("startTime"), status.get("completionTime"))
            self.screen.good(f"{name} was trained in {took:.0f} s")
        metrics = {
            each["name"]: each["value"] for each in (body or {})["status"].get("metrics", [])
        }
        self.screen.say(
            "Metrics on the validation rows: "
            + ", ".join(
                f"{key} {metrics[key]}" for key in ("accuracy", "roc_auc") if key in metrics
            )
        )
        self.show(f"kubectl get modelyard -n {NAMESPACE}")

    def look_at_training(self, name: str) -> Manifest | None:
        """Return the TrainingRun if it has succeeded; show the progress."""
        body = self.kube.get("TrainingRun", name, NAMESPACE)
        ready, status = condition(body, "Ready"), (body or {}).get("status") or {}
        if condition(body, "Succeeded").get("status") == "False":
            self.screen.close()
            raise Failed(
                f"{name}: {ready.get('message')}\n"
                f"{self.kube.explain('TrainingRun', name, NAMESPACE)}"
            )
        if ready.get("status") == "True":
            return body
        progress = status.get("progress") or {}
        eta = f" About {progress['etaSeconds']} s to go." if progress.get("etaSeconds") else ""
        self.screen.progress(
            progress.get("percent", 0),
            f"{name}: {ready.get('message') or 'Not reconciled yet.'}{eta}",
        )
        return None

    def promote(self, version: str) -> None:
        """Patch the version, and wait until it is effective."""
        self.screen.step(f"4. Promote {version} to {STAGE}: one patch")
        begun = self.screen.elapsed
        self.patch(version)
        self.follow(version)
        self.screen.good(
            f"{version} holds {STAGE}, {self.screen.elapsed - begun:.1f} s after the patch"
        )
        self.show(f"kubectl get mlmodel,deployment,service -n {NAMESPACE}")

    def patch(self, version: str) -> None:
        """Patch one line: this is the whole promotion."""
        patch = json.dumps(
            {"spec": {"stages": {STAGE: {"version": version}}}}, separators=(",", ":")
        )
        self.screen.command(
            f"kubectl patch mlmodel {MODEL} -n {NAMESPACE} --type merge -p '{patch}'"
        )
        self.kube.kubectl(
            "patch", "mlmodel", MODEL, "-n", NAMESPACE, "--type", "merge", "-p", patch
        )

    def follow(self, version: str) -> None:
        """Show the messages of the object until it is Ready with the version."""
        told = ""

        def look() -> bool:
            nonlocal told
            body = self.kube.get("RegisteredModel", MODEL, NAMESPACE)
            ready, stage = (
                condition(body, "Ready"),
                (body or {}).get("status", {}).get("stages", {}).get(STAGE, {}),
            )
            fresh = ready.get("observedGeneration", 0) >= (body or {})["metadata"]["generation"]
            if fresh and ready.get("message") != told:
                told = str(ready.get("message"))
                self.screen.say(f"{ready.get('reason')}: {told}")
            blocked = stage.get("blocked") or {}
            if fresh and stage.get("desired") == version and blocked.get("needsAction"):
                why = f"{blocked['reason']}: {blocked['message']}"
                raise Failed(
                    f"{version} is not promoted: {why}\n"
                    f"{self.kube.explain('RegisteredModel', MODEL, NAMESPACE)}"
                )
            return bool(fresh and ready.get("status") == "True" and stage.get("version") == version)

        self.kube.wait(
            f"{version} holds {STAGE}",
            look,
            SERVING_SECONDS,
            lambda: self.kube.explain("RegisteredModel", MODEL, NAMESPACE),
        )

    def ask(self) -> tuple[str, list[Any]]:
        """Predict over HTTP; return the version that answered and the predictions."""
        code, headers, body = self.kube.service(
            NAMESPACE, f"{MODEL}-{STAGE}", f"v1/models/{MODEL}:predict", {"instances": self.table}
        )
        if code != 200:
            raise Failed(
                f"the model answers {code}: {body}\n"
                f"{self.kube.explain('RegisteredModel', MODEL, NAMESPACE)}"
            )
        return headers.get("modelyard-version", "?"), body["predictions"]

    def predict(self) -> None:
        """Predict, and show the same request as commands."""
        version, predictions = self.ask()
        self.screen.good(f"Three rows, answered by {version}: {predictions}")
        self.screen.say("To do the same by hand, with a port-forward in another terminal:")
        self.screen.command(f"kubectl port-forward -n {NAMESPACE} service/{MODEL}-{STAGE} 8080:80")
        body = json.dumps({"instances": self.table}, separators=(",", ":"))
        self.screen.command(
            f"curl -i localhost:8080/v1/models/{MODEL}:predict -H 'Content-Type: application/json'"
            f" -d '{body}'"
        )

    def train_second(self) -> None:
        """Train again with other parameters, which registers the second version."""
        self.screen.step("5. Train v2: deeper trees, and more of them")
        self.show(f"kubectl apply -f {SAMPLES}/training-run-v2.yaml")
        self.train(SECOND)

    def promote_under_load(self, version: str, title: str) -> Result:
        """Patch the version during a steady load; show the answers by version and lost requests."""
        self.screen.step(title)
        url = f"http://{MODEL}-{STAGE}.{NAMESPACE}/v1/models/{MODEL}:predict"
        with steady_load(
            self.kube, install.RUNTIME, NAMESPACE, url, {"instances": self.table}, RATE
        ) as load:
            self.screen.say(f"Sending {RATE} requests a second to {url}")
            self.patch(version)
            self.follow(version)
            load.wait_for(version, RATE * 2)
            # The displaced pods are deleted some seconds later, still under load.
            self.kube.wait(
                "the displaced version's pods are deleted",
                lambda: self.only_serving(version),
                SERVING_SECONDS,
                lambda: self.kube.explain_pods(NAMESPACE),
            )
            result = load.end()
        answered = ", ".join(
            f"{count} by {name}" for name, count in sorted(result.answered.items())
        )
        words = (
            f"{result.sent} requests in {result.seconds:.0f} s: {answered}; {result.lost} lost; the"
            f" slowest {result.slowest * 1000:.0f} ms"
        )
        if result.lost:
            raise Failed(words + "\n" + "\n".join(map(str, result.errors)))
        self.screen.good(words)
        return result

    def only_serving(self, version: str) -> bool:
        """Return whether all pods of the stage have this version."""
        labels = f"modelyard.io/model={MODEL},modelyard.io/stage={STAGE}"
        return {
            pod["metadata"]["labels"]["modelyard.io/version"]
            for pod in self.kube.list("Pod", NAMESPACE, labels)
        } == {version}

    def history(self) -> None:
        """Show the history, and what MLflow's client loads."""
        self.screen.step("8. The history in the status, and the stage in MLflow")
        self.screen.command(
            f"kubectl get mlmodel {MODEL} -n {NAMESPACE} -o jsonpath='{{.status.history}}'"
        )
        body = self.kube.get("RegisteredModel", MODEL, NAMESPACE) or {}
        for entry in body["status"].get("history", []):
            took = (
                f", {entry['durationSeconds']} s after the patch"
                if "durationSeconds" in entry
                else ""
            )
            self.screen.block(
                f"{entry['time']}  {entry['stage']}: {entry.get('from', '-'):>4} ->"
                f" {entry.get('to', '-'):<4} {entry['outcome']}{took}"
            )
        name = body["status"]["mlflowName"]
        version, predictions = self.ask()
        for uri, found in resolve(
            self.kube,
            NAMESPACE,
            [f"models:/{name}/Production", f"models:/{name}@{STAGE}"],
            self.table,
        ).items():
            words = (
                f"{uri} is {found['version']} (MLflow's version {found['mlflow']}) and predicts"
                f" {found['predictions']}"
            )
            if found["version"] != version or found["predictions"] != predictions:
                raise Failed(f"{words}, but the service answers as {version}: {predictions}")
            self.screen.good(words)

    def look_around(self) -> None:
        """Show commands to try next."""
        system = install.NAMESPACE
        self.screen.step(f"Done in {self.screen.elapsed:.0f} s. To look around:")
        self.screen.command(
            f"export KUBECONFIG={self.kube.kubeconfig} PATH={self.kube.tools}:$PATH"
        )
        self.screen.command(f"kubectl get modelyard -n {NAMESPACE}")
        self.screen.command(f"kubectl describe mlmodel {MODEL} -n {NAMESPACE}")
        self.screen.command(
            f"kubectl port-forward -n {system} service/{install.DEPLOYMENTS['MLflow']} 5050    #"
            " http://localhost:5050"
        )
        self.screen.command(
            f"kubectl port-forward -n {NAMESPACE} service/{MODEL}-{STAGE} 8080:80       #"
            f" http://localhost:8080/v2/models/{MODEL}"
        )
        self.screen.say("To remove the demo: make demo-down. To run it again: make demo.")
