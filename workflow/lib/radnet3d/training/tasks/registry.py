"""The tasks there are, by the names that records and `params.tasks` know them by."""

from radnet3d.training.tasks import Task
from radnet3d.training.tasks.body_region import BodyRegion
from radnet3d.training.tasks.classification import Classification
from radnet3d.training.tasks.liver import Liver
from radnet3d.training.tasks.phase import Phase

TASKS: dict[str, type[Task]] = {"liver": Liver, "body_region": BodyRegion, "phase": Phase}
CLASSIFICATIONS: dict[str, type[Classification]] = {
    name: task for name, task in TASKS.items() if issubclass(task, Classification)
}
