"""Errors a user can act on: each names the thing, what was found and what was wanted."""


class RadnetError(Exception):
    """Base of every error this package raises on purpose; the command line prints it and exits with 1."""


class ParamsError(RadnetError):
    """A parameter file has an unknown key, a missing key or a value outside its range."""


class TableError(RadnetError):
    """A table that crosses a file does not match its schema."""


class ArchiveError(RadnetError):
    """An archive source cannot be planned or fetched: empty folder, unknown collection, no space."""


class OutputError(RadnetError):
    """A folder to write holds what is not this package's to replace."""


class GeometryError(RadnetError):
    """Slices do not form a volume. `reason` is one of the words of `tables.GEOMETRY`."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class PixelError(RadnetError):
    """Pixels cannot be decoded, or are no intensities."""


class ScanError(RadnetError):
    """An input is not one CT volume that can be read."""


class LiverCaseError(RadnetError):
    """A volume and its segmentation do not form a usable case."""


class SplitError(RadnetError):
    """A split is impossible or leaks: too few patients, a patient on two sides."""


class CheckpointError(RadnetError):
    """A checkpoint is unreadable, of another architecture, or transfers too little."""


class StaleResultError(RadnetError):
    """A result was made with other parameters than those asked for now."""


class RuleError(RadnetError):
    """A file of label rules does not say what a rule file has to say."""
