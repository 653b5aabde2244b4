"""What the status says: conditions, phase and failure, from the record and from how training and serving stand. Pure.

The table of states in ARCHITECTURE.md is made from this module, and a test holds it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from autotrain_api.names import Condition, Phase, Reason, Stage
from autotrain_api.status import Failure, RevisionRecord
from autotrain_api.trainingjob import Spec
from autotrain_operator.plan_serving import Serving
from autotrain_operator.plan_training import Training
from autotrain_operator.validate import SpecError
from autotrain_operator.waiting import Waiting, sentences

MESSAGE_LENGTH = 500


class Said(NamedTuple):
    """One condition, but for its times."""

    status: str
    reason: str
    message: str = ""

    @property
    def is_true(self) -> bool:
        return self.status == "True"


@dataclass(frozen=True)
class View:
    """Everything that the status is told from."""

    record: RevisionRecord
    """Of the current spec's revision."""
    spec: Spec | None = None
    invalid: SpecError | None = None
    blocked: Waiting | None = None
    """What keeps the operator from going on: a foreign child, an API server that refuses."""
    training: Training = field(default=Training("Pending"))
    serving: Serving = field(default=Serving("Nothing"))
    served: str = ""
    """The revision that answers, or answered last."""
    rollout_failed: bool = False
    """The record's rollout, in the form that the spec gives it now."""
    rolled_back: bool = False

    @property
    def wanted(self) -> str:
        """The revision that is to answer."""
        return (self.spec.serving.revision if self.spec else "") or self.record.revision


def unknown(view: View) -> Said:
    """Nothing is known while the spec cannot be worked on."""
    if view.invalid is not None:
        return Said("Unknown", view.invalid.reason, "the spec is invalid")
    blocked = view.blocked or Waiting(Reason.WAITING, "", "")
    return Said("Unknown", blocked.reason, str(blocked))


def config_valid(view: View) -> Said:
    if view.invalid is not None:
        return Said("False", view.invalid.reason, str(view.invalid))
    if view.serving.pin_problem:
        return Said("False", Reason.UNKNOWN_REVISION, view.serving.pin_problem)
    return Said("True", Reason.VALID, "the spec can be worked on")


def trained(view: View) -> Said:
    record, training = view.record, view.training
    if record.trained == "Succeeded":
        best = f": {record.metrics[0].name} {record.metrics[0].value:.4f}" if record.metrics else ""
        return Said("True", Reason.TRAINED, f"{record.revision} is trained{best}")
    if record.trained == "Failed":
        failure = record.failure or Failure(stage=Stage.TRAINING, reason=record.reason, message="")
        return Said("False", failure.reason, sentences(failure.message, failure.hint))
    if view.invalid is not None or view.blocked is not None:
        return unknown(view)
    words: dict[str, Callable[[], Said]] = {
        "Suspended": lambda: Said("False", Reason.SUSPENDED, "spec.suspend is true"),
        "Stopping": lambda: Said("False", Reason.WAITING_FOR_DELETION, "an earlier Job is being stopped"),
        "Waiting": lambda: Said("False", Reason.RETRYING, _retrying(view)),
        "Running": lambda: Said("False", Reason.TRAINING, f"attempt {training.attempt} is training"),
    }
    waiting = training.waiting or Waiting(Reason.PENDING, "waiting to begin", "")
    return words.get(training.state, lambda: Said("False", waiting.reason, str(waiting)))()


def _retrying(view: View) -> str:
    when = view.training.until.strftime("%H:%M:%SZ") if view.training.until else "soon"
    why = f"{view.record.failure.reason}: {view.record.failure.message}" if view.record.failure else ""
    return f"attempt {view.record.attempts + 1} begins at {when}, since attempt {view.record.attempts} ended in {why}"


def gate_passed(view: View) -> Said:
    record = view.record
    if record.gate == "Passed":
        if view.spec is None or view.spec.gate.min is None:
            return Said("True", Reason.NO_GATE, "spec.gate.min is not set")
        return Said("True", Reason.GATE_PASSED, f"{view.spec.metric} passed its gate when it was trained")
    if record.gate == "Refused" and record.failure is not None:
        return Said("False", Reason.GATE_REFUSED, sentences(record.failure.message, record.failure.hint))
    return Said("Unknown", Reason.WAITING, "judged when the model is trained")


def rolled_out(view: View) -> Said:
    serving = view.serving
    if view.invalid is not None or view.blocked is not None:
        return unknown(view)
    if serving.state == "Disabled":
        return Said("False", Reason.SERVING_DISABLED, "spec.serving.enabled is false")
    if serving.pin_problem:
        return Said("False", Reason.UNKNOWN_REVISION, serving.pin_problem)
    if view.rolled_back:
        why = view.record.failure.message if view.record.failure else "it did not become ready"
        return Said("False", Reason.ROLLED_BACK, f"{view.served} came back, since {view.record.revision} failed: {why}")
    if serving.target != view.wanted and serving.state not in ("RollingOut", "Failing"):
        if view.record.failure is not None and (view.record.trained == "Failed" or view.record.gate == "Refused"):
            return Said("False", view.record.failure.reason, "it gets no traffic")
        return Said("Unknown", Reason.WAITING, "rolled out when it is trained and its gate is passed")
    if serving.state == "Complete":
        return Said("True", Reason.ROLLED_OUT, serving.message)
    return Said("False", serving.reason or Reason.ROLLING_OUT, serving.message)


def available(view: View) -> Said:
    serving = view.serving
    if serving.state == "Disabled":
        return Said("False", Reason.SERVING_DISABLED, "spec.serving.enabled is false")
    if not serving.ready:
        return Said("False", Reason.NOT_SERVING, "no verified model answers")
    if view.served == view.wanted:
        return Said("True", Reason.SERVING, f"{view.served} answers")
    return Said("True", Reason.SERVING_EARLIER, f"{view.served or 'an earlier revision'} answers")


def stalled(view: View) -> Said:
    """Nothing will happen without a person."""
    if view.invalid is not None or view.serving.pin_problem:
        return Said("True", *config_valid(view)[1:])
    if view.blocked is not None and view.blocked.reason == Reason.NAME_CONFLICT:
        return Said("True", view.blocked.reason, str(view.blocked))
    failure = view.record.failure
    rollout_failed = view.rollout_failed and view.serving.state not in ("Disabled", "Complete")
    if view.record.trained == "Failed" or view.record.gate == "Refused" or rollout_failed or view.rolled_back:
        reason = failure.reason if failure else view.record.reason
        return Said("True", reason, sentences(failure.message, failure.hint) if failure else "")
    if view.serving.state == "Failing":
        return Said("True", view.serving.reason, view.serving.message)
    return Said("False", Reason.PROGRESSING)


def ready(view: View, others: dict[Condition, Said]) -> Said:
    """The revision of this generation answers with all wanted replicas; with serving disabled, it is trained."""
    disabled = view.serving.state == "Disabled"
    needed = [Condition.CONFIG_VALID, Condition.TRAINED, Condition.GATE_PASSED]
    if view.spec is not None and view.spec.serving.revision:
        needed = [Condition.CONFIG_VALID]
    needed += [] if disabled else [Condition.ROLLED_OUT]
    for condition in needed:
        if not others[condition].is_true:
            return Said("False", others[condition].reason, others[condition].message)
    if disabled:
        return Said("True", Reason.TRAINED, "trained; serving is disabled")
    if view.serving.ready < view.serving.wanted:
        missing = f"{view.serving.ready} of {view.serving.wanted} replicas answer"
        return Said("False", Reason.REPLICAS_MISSING, missing)
    return Said("True", Reason.AS_DESIRED, f"{view.wanted} answers with {view.serving.ready} replicas")


def conditions_of(view: View) -> dict[Condition, Said]:
    """All conditions, in the order in which things happen."""
    said = {
        Condition.CONFIG_VALID: config_valid(view),
        Condition.TRAINED: trained(view),
        Condition.GATE_PASSED: gate_passed(view),
        Condition.ROLLED_OUT: rolled_out(view),
        Condition.AVAILABLE: available(view),
    }
    said[Condition.READY] = ready(view, said)
    said[Condition.STALLED] = stalled(view)
    return {name: Said(c.status, c.reason, c.message[:MESSAGE_LENGTH]) for name, c in said.items()}


class PhaseRule(NamedTuple):
    phase: Phase
    holds: Callable[[View, dict[Condition, Said]], bool]


PHASES = (  # the first that holds
    PhaseRule(Phase.INVALID, lambda view, said: view.invalid is not None),
    PhaseRule(Phase.READY, lambda view, said: said[Condition.READY].is_true and view.serving.state != "Disabled"),
    PhaseRule(Phase.TRAINED, lambda view, said: said[Condition.READY].is_true),
    PhaseRule(Phase.DEGRADED, lambda view, said: said[Condition.STALLED].is_true and said[Condition.AVAILABLE].is_true),
    PhaseRule(Phase.FAILED, lambda view, said: said[Condition.STALLED].is_true),
    PhaseRule(Phase.SUSPENDED, lambda view, said: said[Condition.TRAINED].reason == Reason.SUSPENDED),
    PhaseRule(Phase.TRAINING, lambda view, said: said[Condition.TRAINED].reason == Reason.TRAINING),
    PhaseRule(Phase.PENDING, lambda view, said: not said[Condition.TRAINED].is_true and not _pinned(view)),
    PhaseRule(Phase.DEGRADED, lambda view, said: said[Condition.ROLLED_OUT].is_true),
    PhaseRule(Phase.ROLLING_OUT, lambda view, said: True),
)


def _pinned(view: View) -> bool:
    return view.spec is not None and view.spec.serving.revision not in ("", view.record.revision)


def phase_of(view: View, said: dict[Condition, Said]) -> Phase:
    """One word for people."""
    return next(rule.phase for rule in PHASES if rule.holds(view, said))


def failure_of(view: View) -> Failure | None:
    """Why the current revision is not served, where that is final or nearly so."""
    if view.invalid is not None:
        return Failure(stage=Stage.CONFIG, reason=view.invalid.reason, message=str(view.invalid)[:MESSAGE_LENGTH])
    if view.blocked is not None:
        blocked = view.blocked
        return Failure(stage=Stage.PENDING, reason=blocked.reason, message=blocked.message, hint=blocked.hint)
    waiting = view.training.waiting
    if view.record.failure is None and waiting is not None and waiting.hint:
        return Failure(stage=Stage.PENDING, reason=waiting.reason, message=waiting.message, hint=waiting.hint)
    if view.record.failure is None and view.serving.state == "Failing":
        return Failure(stage=Stage.ROLLOUT, reason=view.serving.reason, message=view.serving.message)
    return view.record.failure if _of_now(view) else None


def _of_now(view: View) -> bool:
    """A rollout's failure is over where another form of the revision is on its way."""
    failure = view.record.failure
    return failure is None or failure.stage != Stage.ROLLOUT or view.rollout_failed
