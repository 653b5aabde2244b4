"""What a training went through, for the plots."""


class History:
    """What the plots show. `finder` is (rates, losses, chosen)."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.epochs: list[dict[str, float]] = []
        self.finder: tuple[list[float], list[float], float] | None = None
        self.best_epoch = 0
        self.ended = ""
        """Why before the last epoch of the spec; "" when it was not."""
