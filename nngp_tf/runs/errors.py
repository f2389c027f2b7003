"""What ends a run that was well begun: launchers show the sentence and exit with 1."""


class RunEndedError(RuntimeError):
    """A run cannot go on; what is in its directory is safe."""


class NotWrittenError(RunEndedError):
    """A row could not be written for too long."""


class LostError(RunEndedError):
    """Another process has taken the shard over."""


class LostWorkerError(RunEndedError):
    """Another worker of the strategy, or its device, is gone."""


class TooManyFailuresError(RunEndedError):
    """Architectures failed one after the other."""
