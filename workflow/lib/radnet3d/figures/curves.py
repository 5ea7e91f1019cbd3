"""Learning curves of pretraining: loss in training, scores on validation patients."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from radnet3d.figures.style import Look, new_figure, styled


@styled
def draw(every: pd.DataFrame, looks: Mapping[str, Look]) -> Figure:
    """Return a panel a quantity: train (thin) and validation (thick) against steps, a colour an encoder, a line a seed.

    `every`: tables.HISTORY of all encoders shown, with `encoder`, a key of `looks`, and `seed`.
    """
    names = list(dict.fromkeys(every["name"]))
    n_columns = min(3, len(names))
    n_rows = -(-len(names) // n_columns)
    figure, panels = new_figure(0.6 + 1.9 * n_rows, n_rows, n_columns)
    for axes, name in zip(panels, names, strict=False):
        lines = every[every["name"] == name].groupby(["encoder", "split", "seed"], sort=False)
        for (encoder, split, _), rows in lines:
            look, is_train = looks[str(encoder)], split == "train"
            axes.plot(
                rows["step"], rows["value"], color=look.colour, linewidth=0.8 if is_train else 2.0,
                alpha=0.7 if is_train else 1.0, label=f"{look.name}, {split}",
            )  # fmt: skip
        axes.set_title(name.replace("_", " "))
    for axes in panels[len(names) :]:
        axes.remove()
    for axes in panels[max(0, len(names) - n_columns) : len(names)]:
        axes.set_xlabel("optimiser step")
    handles = {
        label: handle
        for axes in panels[: len(names)]
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4)
    return figure
