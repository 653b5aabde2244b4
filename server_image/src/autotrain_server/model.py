"""The one model of this process and how it stands: loading, verified, or refused with a reason."""

import logging
import tempfile
import threading
from pathlib import Path

from autotrain_api import bundle
from autotrain_api.names import Reason
from autotrain_api.trainingjob import Postprocessing
from autotrain_server.fetching import folder_of, is_elsewhere
from autotrain_server.functions import FunctionError, postprocessor, read_functions
from autotrain_server.precision import AUTO
from autotrain_server.predictor import FUNCTION_HINT, Predictor
from autotrain_server.reading import BundleError

log = logging.getLogger(__name__)

FIRST_WAIT_SECONDS = 2.0
"""Before a store that did not answer is asked again; doubled each time."""
LONGEST_WAIT_SECONDS = 60.0


class Model:
    """Loads a bundle in the background; `predictor` is set once it is verified, `error` when it must not answer."""

    def __init__(
        self,
        place: Path | str,
        sha256: str = "",
        precision: str = AUTO,
        cache: Path | None = None,
        gpus: int = 0,
        postprocessing: Postprocessing | None = None,
        functions: Path | None = None,
    ) -> None:
        """`place` is a folder or a URI, which is fetched into `cache`; with `gpus` it is computed on a GPU or refused.

        The function that `postprocessing` names stands in the file `functions`, or in the bundle's.
        """
        self.place = str(place)
        self.cache = cache or Path(tempfile.gettempdir()) / "autotrain-bundles"
        self.folder = Path(self.place)
        """Where the bundle's files are, once it is loaded."""
        self.precision = precision
        self.gpus = gpus
        self.predictor: Predictor | None = None
        self.error: BundleError | None = None
        self._postprocessing = postprocessing or Postprocessing()
        self._functions = functions
        self._sha256 = sha256 or None
        self._thread = threading.Thread(target=self._load, name="load-bundle", daemon=True)

    def start(self) -> None:
        """Begin to load, if it did not begin; returns at once."""
        if self._thread.ident is None:
            self._thread.start()

    @property
    def failure(self) -> BundleError | None:
        """Why a verified model answers no more; only another process can."""
        return self.error if self.predictor is not None else None

    def wait(self, timeout: float | None = None) -> None:
        """Wait until loading is over, one way or the other."""
        self._thread.join(timeout)

    def fail(self, error: BundleError) -> None:
        """The engine stopped working: no more answers from here."""
        self.error = error
        log.error("model refused", extra={"reason": error.reason, "file": error.file, "detail": str(error)})

    def _load(self) -> None:
        try:
            self.folder = self._fetch()
            predictor = Predictor.load(self.folder, self._sha256, self.precision, self.gpus)
            self._own_finish(predictor)
        except BundleError as error:
            self.fail(error)
        except Exception as error:  # whatever it is, the process stays and says why it is not ready
            log.exception("model does not load")
            self.fail(BundleError(Reason.CRASHED, "", f"{type(error).__name__}: {error}"))
        else:
            self.predictor, self.error = predictor, None
            facts = {"revision": predictor.manifest.revision, "digest": predictor.digest}
            log.info("model ready", extra=facts | {"precision": predictor.engine.precision})
            if predictor.precision_note:
                log.warning("precision: %s", predictor.precision_note)
            self._spread(predictor)

    def _fetch(self) -> Path:
        """The bundle's folder; a store that cannot be reached is asked until it can, and `error` says so meanwhile."""
        seconds = FIRST_WAIT_SECONDS
        while True:
            try:
                return folder_of(self.place, self._sha256 or "", self.cache)
            except BundleError as error:
                if error.reason != Reason.BUNDLE_UNREACHABLE or not is_elsewhere(self.place):
                    raise
                self.fail(error)
            threading.Event().wait(seconds)
            seconds = min(2 * seconds, LONGEST_WAIT_SECONDS)

    def _own_finish(self, predictor: Predictor) -> None:
        """Raises BundleError."""
        wanted = self._postprocessing
        if wanted.function is None:
            return
        path = self._functions or self.folder / bundle.FUNCTIONS
        try:
            predictor.finish = postprocessor(read_functions(path), wanted.function, wanted.args or {})
        except FunctionError as error:
            raise BundleError(Reason.FUNCTION_FAILED, bundle.FUNCTIONS, str(error), FUNCTION_HINT) from error

    def _spread(self, predictor: Predictor) -> None:
        """Answers are given already; without this they are right as well, and fewer at a time."""
        try:
            predictor.spread()
        except (BundleError, RuntimeError) as error:
            log.warning("one engine for everything: %s", error)
