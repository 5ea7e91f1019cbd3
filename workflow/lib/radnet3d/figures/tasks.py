"""Classifications fine-tuned by the same recipe: the fraction answered rightly against training-set size, a panel a task."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from radnet3d.figures.dice import draw_arms
from radnet3d.figures.style import Look, new_figure, styled


@styled
def draw(comparison: pd.DataFrame, runs: pd.DataFrame, looks: Mapping[str, Look]) -> Figure:
    """Return a panel a task: the fraction answered rightly with its interval by arm and size; small dots are single runs.

    `comparison`: tables.TASK_COMPARISON, of one task at least; `runs`: tables.RUNS.
    """
    tasks = list(dict.fromkeys(comparison["task"]))
    figure, panels = new_figure(3.8, 1, len(tasks))
    for axes, task in zip(panels, tasks, strict=True):
        own, of_task = comparison[comparison["task"] == task], runs[runs["task"] == task]
        draw_arms(axes, own, of_task, looks, "mean", "correct_mean")
        axes.set_title(task.replace("_", " "))
        axes.set_xlabel("patients in the training set, n (log scale)")
    panels[0].set_ylabel("test patients answered rightly (share)")
    handles = {
        label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4)
    return figure
