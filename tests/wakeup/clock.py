"""A clock that tests move."""


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def monotonic(self) -> float:
        """Stand in for the module ``time``."""
        return self.now

    def pass_by(self, seconds: float) -> None:
        """Stand in for ``Polling.wait``."""
        self.now += seconds
