"""The methods of `client.models` that change what a stage serves, or verify it."""

from dataclasses import replace

from modelyard.client import (
    newest,
    overriding,
    progress,
    refreshing,
    retrying,
    verifying,
    waiting,
    whoami,
)
from modelyard.client.model_methods import ModelMethods
from modelyard.client.versions import ModelHandle

__all__ = ["Promotions"]


class Promotions(ModelMethods):
    """Promote, refresh, retry and verify."""

    def set_stage(
        self,
        name: str,
        version: str | None,
        stage: str,
        *,
        reason: str = "",
        seconds: float | None = None,
        seen: waiting.Watching | None = None,
    ) -> ModelHandle:
        """Promote a version to a stage, and wait until it serves and MLflow agrees.

        To roll back, call it with the version that was effective before.

        Args:
            name: The model.
            version: The version; None clears the stage, so that it serves nothing.
            stage: The stage, such as production; created if the model does not have it.
            reason: Why, at most 256 characters, for the history. It replaces the reason of the
                previous change.
            seconds: How long to wait; 0 returns at once. Absent: 900 s plus the holds of the
                stage's rollout, and a pause of the rollout raises Paused.
            seen: Called with every state of the model, for a display. Absent: a notebook shows a
                progress bar.

        Raises:
            NotFound: There is no such model.
            NotAllowed: The user lacks the verb `promote` on `registeredmodels/<stage>`.
            Failed: The version was not promoted, and the stable version is still serving; `reason`
                and `message` say why. Reason `Superseded`: another user has since asked for
                another version.
            Paused: The rollout is at a pause and waits for `resume`.
            TimedOut: The promotion is not complete yet. It continues.

        """
        there = self._model(name).object
        by = whoami.requester(self._kube, there, stage)
        fields = {"version": version, "reason": reason or None} | newest.stopped(there, stage) | by
        if stage in there.spec.stages and there.spec.stages[stage].version == version:
            fields |= overriding.back(there, stage)
        patch = {"spec": {"stages": {stage: fields}}}
        model = ModelHandle(self._kube, self._kube.patch("RegisteredModel", name, patch))
        changes = (replace(progress.asked_for(model.object, stage), version=version),)
        return waiting.changed(
            model, changes, f"to make {version or 'no version'} effective in {stage}", seconds, seen
        )

    def refresh(
        self,
        name: str,
        stage: str | None = None,
        *,
        seconds: float | None = None,
        seen: waiting.Watching | None = None,
    ) -> ModelHandle:
        """Serve the effective version with the operator's current runtime, and wait for that.

        A refresh promotes the same version again, and no request is lost. A stage that already has
        the current runtime is not changed. After an upgrade the operator needs some seconds to
        record its new runtime.

        Args:
            name: The model.
            stage: The stage; absent: every stage that is served with another runtime.
            seconds: How long to wait; 0 returns at once. Absent: 900 s plus the holds of the
                stage's rollout, and a pause of the rollout raises Paused.
            seen: Called with every state of the model.

        Raises:
            NotFound: The model has no such stage.
            NotAllowed: The user lacks the verb `promote` on `registeredmodels/<stage>`.
            Refused: The named stage has no effective version, or another change of it comes first.
            Failed: The new runtime cannot serve the version; the old one is still serving.
            Paused: The rollout is at a pause and waits for `resume`.
            TimedOut: The refresh is not complete yet. It continues.

        """
        model = self._model(name)
        stages = refreshing.stages_to_refresh(model.object, stage)
        if not stages:
            return model
        patch = refreshing.patch(model.object, stages)
        model = ModelHandle(self._kube, self._kube.patch("RegisteredModel", name, patch))
        changes = refreshing.changes(model.object, stages)
        return waiting.changed(model, changes, f"to refresh {', '.join(stages)}", seconds, seen)

    def retry(
        self,
        name: str,
        stage: str,
        *,
        seconds: float | None = None,
        seen: waiting.Watching | None = None,
    ) -> ModelHandle:
        """Try the version again that a stage has rejected, and wait until it is effective.

        If a gate rejected it, the gates are asked again; if its pods failed, new pods start.

        Args:
            name: The model.
            stage: The stage.
            seconds: How long to wait; 0 returns at once. Absent: 900 s plus the holds of the
                stage's rollout, and a pause of the rollout raises Paused.
            seen: Called with every state of the model.

        Raises:
            NotFound: The model has no such stage.
            NotAllowed: The user lacks the verb `promote` on `registeredmodels/<stage>`.
            Refused: The stage has not rejected the version that its spec asks for.
            Failed: The version was rejected again; the stable version is still serving.
            Paused: The rollout is at a pause and waits for `resume`.
            TimedOut: The promotion is not complete yet, or waits for its gates.

        """
        model = self._model(name)
        version = retrying.rejection(model.object, stage).version
        model = ModelHandle(
            self._kube,
            self._kube.patch("RegisteredModel", name, retrying.patch(model.object, stage)),
        )
        changes = (replace(progress.asked_for(model.object, stage), version=version),)
        return waiting.changed(
            model, changes, f"to make {version} effective in {stage}", seconds, seen
        )

    def verify(
        self, name: str, stage: str, *, seconds: float = 900, seen: waiting.Watching | None = None
    ) -> ModelHandle:
        """Ask a stage's gates again about its effective version, and wait for their verdicts.

        Args:
            name: The model.
            stage: The stage.
            seconds: How long to wait; 0 returns at once.
            seen: Called with every state of the model.

        Raises:
            NotFound: The model has no such stage.
            NotAllowed: The user lacks the verb `promote` on `registeredmodels/<stage>`.
            Refused: No version is effective there.
            Failed: A gate fails. The version is still serving, but no stage with `from` this one
                takes it. Reason `NothingToVerify`: the stage has no gate that can be asked
                again.
            TimedOut: A gate has no verdict yet.

        """
        verification, patch = verifying.patch(self._model(name).object, stage)
        model = ModelHandle(self._kube, self._kube.patch("RegisteredModel", name, patch))
        verification = replace(verification, generation=model.metadata.generation)
        if not seconds:
            return model
        checks: dict[str, waiting.Check] = {
            f"{stage} of {model.namespace}/{name}": lambda now: verifying.verification_progress(
                now.object, verification
            )
        }
        return waiting.followed(
            model, checks, f"to verify {verification.version} in {stage}", seconds, seen
        )
