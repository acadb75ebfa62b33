"""The methods of `client.models` with which users approve, resume, abort and override."""

from datetime import datetime, timedelta

from modelyard.api.model_approval import Decision, ModelApproval
from modelyard.client import aborting, approving, overriding, rollouts, waiting, whoami
from modelyard.client.model_methods import ModelMethods
from modelyard.client.progress import Change, asked_for
from modelyard.client.versions import ModelHandle

__all__ = ["Decisions"]


class Decisions(ModelMethods):
    """Approve, reject, resume, abort and override."""

    def approve(
        self,
        name: str,
        version: str,
        stage: str,
        *,
        gate: str = "",
        comment: str = "",
        evidence: str = "",
    ) -> ModelApproval:
        """Approve a version for a stage, in your own name, by a ModelApproval.

        It replaces your earlier approval or rejection of the version for the gate.

        Args:
            name: The model.
            version: The version. The approval is for the digest that its status records.
            stage: The stage.
            gate: The gate; absent: the stage's only gate of the kind `approvals`.
            comment: Why.
            evidence: Where the reasons can be read, such as a URL.

        Raises:
            NotFound: There is no such model, version, stage or gate.
            Refused: The approval would not count: you asked for the version, or registered it.
            NotAllowed: The user lacks the verb `approve` on `registeredmodels/<stage>`, or for an
                external gate the verb `attest` on `registeredmodels/<stage>/<gate>`.

        """
        request = approving.ApprovalRequest(
            version, stage, Decision.APPROVE, gate, comment, evidence
        )
        return approving.decide(self._kube, self._model(name).object, request)

    def reject(
        self,
        name: str,
        version: str,
        stage: str,
        *,
        gate: str = "",
        comment: str = "",
        evidence: str = "",
    ) -> ModelApproval:
        """Reject a version for a stage, in your own name: the version fails the gate.

        Arguments and errors are those of `approve`, but you may reject your own work too.
        """
        request = approving.ApprovalRequest(
            version, stage, Decision.REJECT, gate, comment, evidence
        )
        return approving.decide(self._kube, self._model(name).object, request)

    def resume(
        self,
        name: str,
        stage: str,
        *,
        seconds: float | None = None,
        seen: waiting.Watching | None = None,
    ) -> ModelHandle:
        """Continue a rollout that is at a pause, and follow it to its end or to the next pause.

        Args:
            name: The model.
            stage: The stage.
            seconds: How long to wait; 0 returns at once. Absent: 900 s plus the holds of the
                rollout, and the next pause raises Paused.
            seen: Called with every state of the model.

        Raises:
            NotFound: There is no such model or stage.
            Refused: The rollout is not at a pause, has been resumed already, or has changed in the
                meantime: read it again.
            NotAllowed: The user lacks the verb `promote` on `registeredmodels/<stage>`.
            Paused: The rollout is at the next pause.
            Failed: The version was rejected; the stable version is still serving.
            TimedOut: The rollout is not complete yet. It continues.

        """
        patch = rollouts.resume(self._model(name).object, stage)
        model = ModelHandle(self._kube, self._kube.patch("RegisteredModel", name, patch))
        change = asked_for(model.object, stage)
        return waiting.changed(
            model, (change,), f"to make {change.version} effective in {stage}", seconds, seen
        )

    def abort(
        self,
        name: str,
        stage: str,
        *,
        reason: str = "",
        seconds: float = 900,
        seen: waiting.Watching | None = None,
    ) -> ModelHandle:
        """Abort a promotion that is under way, or drop a version that the stage has rejected.

        The spec asks for the effective version again, which keeps serving. Aborting a refresh
        keeps the version's present runtime: `attempt` is set back.

        Args:
            name: The model.
            stage: The stage.
            reason: Why, at most 256 characters. It replaces the reason of the previous change.
            seconds: How long to wait until the candidate is deleted; 0 returns at once.
            seen: Called with every state of the model.

        Raises:
            NotFound: There is no such model or stage.
            Refused: Nothing is under way there, or the effective version comes from an override.
            NotAllowed: The user lacks the verb `promote` on `registeredmodels/<stage>`.
            TimedOut: The candidate still exists.

        """
        there = self._model(name).object
        found = aborting.abort(there, stage)
        wanted = dict(found.wanted)
        if not found.is_refresh:
            wanted |= {"reason": reason or None, **whoami.requester(self._kube, there, stage)}
        patch = {"spec": {"stages": {stage: wanted}}}
        model = ModelHandle(self._kube, self._kube.patch("RegisteredModel", name, patch))
        return waiting.changed(
            model,
            (found.change(model.object, stage),),
            f"to abort {found.given_up}",
            seconds,
            seen,
        )

    def override(
        self,
        name: str,
        version: str,
        stage: str,
        *,
        reason: str,
        until: datetime | timedelta = overriding.USUAL,
        seconds: float = 900,
        seen: waiting.Watching | None = None,
    ) -> ModelHandle:
        """Serve a registered version in a stage without its gates and `from`, and wait for that.

        When the override ends, nothing switches: the version keeps serving until a user decides.

        Args:
            name: The model.
            version: A registered version.
            stage: The stage.
            reason: Why, for the history and the Event.
            until: When the override ends (with a time zone), or how long it is in force; a day at
                most.
            seconds: How long to wait; 0 returns at once.
            seen: Called with every state of the model.

        Raises:
            ValueError: `reason` is empty; or `until` is past, more than a day away, or without a
                time zone.
            NotFound: There is no such model, stage or version.
            Refused: The version is not registered, or its override has been in force for a day.
            NotAllowed: The user lacks the verb `override` on `registeredmodels/<stage>`.
            Failed: The version's pods cannot serve it; the stable version is still serving.
            TimedOut: The version does not serve yet. The operator continues.

        """
        asked = overriding.override_request(version, reason, until)
        overriding.check(self._model(name).object, stage, asked)
        model = ModelHandle(
            self._kube, self._kube.patch("RegisteredModel", name, overriding.patch(stage, asked))
        )
        changes = (Change(stage, version, model.metadata.generation),)
        return waiting.changed(model, changes, f"to put {version} into {stage}", seconds, seen)

    def end_override(self, name: str, stage: str) -> ModelHandle:
        """Remove the override of a stage. Nothing switches: its version keeps serving.

        To keep that version, or to return to the one of the spec, call `set_stage` with it.

        Raises:
            NotFound: There is no such model or stage, or the stage has no override.
            NotAllowed: The user lacks the verb `override` on `registeredmodels/<stage>`.

        """
        overriding.ends(self._model(name).object, stage)
        return ModelHandle(
            self._kube, self._kube.patch("RegisteredModel", name, overriding.end_patch(stage))
        )
