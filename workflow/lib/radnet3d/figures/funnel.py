"""From all series of an archive to those that could be pretrained on, beside what the paper had."""

import pandas as pd
from matplotlib.figure import Figure

from radnet3d.figures.style import BLUE, FAINT, GREEN, GREY, PURPLE, new_figure, styled

STEPS = {
    "all": "all series",
    "image": "CT, MR or PET",
    "human": "of a human",
    "volume": "a volume",
    "regular": "at even distances",
    "licence": "licence permits any use",
    "not_leaking": "no image of LiTS",
    "any_head": "a class of the paper known",
    "all_heads": "… of all four heads",
}
# PAPER: more than 60,000 series of TCIA seen, 15,305 used for training.
PAPER_SERIES = {"3D-RADNet: seen, over": 60_000, "3D-RADNet: trained on": 15_305}
COLOURS = {"CT": BLUE, "MR": GREEN, "PT": PURPLE, "other": FAINT}


@styled
def draw(funnel: pd.DataFrame) -> Figure:
    """Return one bar a step, by modality, with series and patients left. `funnel`: tables.FUNNEL."""
    steps = list(dict.fromkeys(funnel["step"]))
    names = [*(STEPS[step] for step in steps), *PAPER_SERIES]
    figure, (axes,) = new_figure(1.0 + 0.31 * len(names))
    left = pd.Series(0.0, index=steps)
    for modality, colour in COLOURS.items():
        n = funnel[funnel["Modality"] == modality].set_index("step")["n_series"].reindex(steps).fillna(0)
        axes.barh(range(len(steps)), n, left=left, height=0.66, color=colour, label=modality)
        left += n
    paper = range(len(steps), len(names))
    axes.barh(paper, list(PAPER_SERIES.values()), height=0.66, color=GREY)
    total = funnel[funnel["Modality"] == "all"].set_index("step").reindex(steps)
    said = [f"{row.n_series:,} series, {row.n_patients:,} patients" for row in total.itertuples()]
    said += [f"{n:,} series" for n in PAPER_SERIES.values()]
    for place, (n, text) in enumerate(zip([*total["n_series"], *PAPER_SERIES.values()], said, strict=True)):
        inside = n > 0.6 * total["n_series"].max()
        axes.annotate(
            text, (n, place), xytext=(-5 if inside else 5, 0), textcoords="offset points", va="center",
            ha="right" if inside else "left", fontsize=8,
        )  # fmt: skip
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(0, total["n_series"].max() * 1.01)
    axes.xaxis.set_major_formatter(lambda n, _: f"{n:,.0f}")
    axes.set_xlabel("series")
    axes.grid(axis="y", visible=False)
    figure.legend(loc="outside upper right", ncols=len(COLOURS))
    return figure
