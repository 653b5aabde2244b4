"""What one pass over one TrainingJob decides from, and what it decides to do. No decisions here."""

from dataclasses import dataclass, field
from datetime import datetime

from autotrain_api.trainingjob import Spec
from autotrain_operator.functions import OwnFunctions
from autotrain_operator.kube import Object
from autotrain_operator.ledger import Ledger
from autotrain_operator.observe import Observed
from autotrain_operator.pods import Owner
from autotrain_operator.settings import Settings


@dataclass(frozen=True)
class Context:
    owner: Owner
    spec: Spec
    seen: Observed
    settings: Settings
    ledger: Ledger
    own: OwnFunctions | None = None
    """The job's own functions."""

    @property
    def revision(self) -> str:
        return self.ledger.revision

    @property
    def now(self) -> datetime:
        return self.ledger.now


@dataclass(frozen=True)
class Create:
    """POST a child that was not seen."""

    body: Object


@dataclass(frozen=True)
class Apply:
    """Bring a child that is known to be ours to this form."""

    body: Object
    live: Object = field(repr=False)


@dataclass(frozen=True)
class Delete:
    """Delete this very child."""

    child: Object
    propagation: str = "Background"


@dataclass(frozen=True)
class Amend:
    """Change these fields of a Job's spec: of those that a Job lets be changed, this operator writes two."""

    job: Object = field(repr=False)
    spec: Object


Action = Create | Apply | Delete | Amend
