"""Saves a view of W&B with the panels that docs/wandb.md names.

pip install wandb-workspaces
python docs/wandb/workspace.py --entity YOU --project bacl --heads baseline bacl
"""

import argparse
from collections.abc import Sequence

import wandb_workspaces.reports.v2 as panels
import wandb_workspaces.workspaces as workspaces

SWEPT = {
    "α": "head/loss/alpha",
    "p̃_t": "head/loss/threshold",
    "β": "head/hallucination/beta",
    "c": "head/hallucination/categories",
    "m": "head/hallucination/samples",
}
MEASURES = {"AP": ("AP", "AP{}"), "right label": ("right_label", "right_label_{}")}
"""Of all categories, and of a group."""
TABLES = ("categories", "confused_pairs", "label_errors")
FIGURES = ("ap_by_count", "errors", "confusion", "thresholds", "reliability", "shift_curves")
STEP = "trainer/global_step"


def workspace(
    entity: str, project: str, heads: Sequence[str], groups: Sequence[str]
) -> workspaces.Workspace:
    """The view; `save` uploads it."""
    made = {
        "AP and right labels by group": measures(heads, groups),
        "Examples": [media("detections", "examples/detections")],
        "Tables": [table(f"tables/{name}") for name in TABLES],
        "Errors and thresholds": [media(name, f"figures/{name}") for name in FIGURES],
        "Classifiers": classifiers(heads, groups),
        "Sweep": [sweep(head) for head in heads],
    }
    sections = [
        workspaces.Section(name=name, panels=own, is_open=True) for name, own in made.items()
    ]
    settings = workspaces.WorkspaceSettings(x_axis=STEP, group_by_prefix="first")
    return workspaces.Workspace(
        entity=entity, project=project, name="BACL", sections=sections, settings=settings,
        auto_generate_panels=True,
    )  # fmt: skip


def measures(heads: Sequence[str], groups: Sequence[str]) -> list[panels.LinePlot]:
    """A plot for each measure of all categories and of each group, with a line for each head."""
    return [
        lines(f"{title}, {key or 'all'}", [f"val/{head}/{part}" for head in heads])
        for title, (of_all, of_group) in MEASURES.items()
        for key, part in [("", of_all), *((group, of_group.format(group)) for group in groups)]
    ]


def classifiers(heads: Sequence[str], groups: Sequence[str]) -> list[object]:
    """Weight norms, the indicators, and for each head what W&B draws of its histograms."""
    norms = [
        lines(f"weight norm, {group}", [f"classifier/{head}/weight_norm_{group}" for head in heads])
        for group in groups
    ]
    shown = [media("weight norms", "classifier/weight_norms"),
             media("indicators", "classifier/indicators")]  # fmt: skip
    return [*norms, *shown, table("classifier/indicator_pairs")]


def lines(title: str, metrics: list[str]) -> panels.LinePlot:
    """Over the steps of the training."""
    return panels.LinePlot(title=title, x=STEP, y=metrics)


def media(title: str, key: str) -> panels.MediaBrowser:
    """Pictures; boxes and their layers are switched at the gear of the panel."""
    return panels.MediaBrowser(title=title, media_keys=[key], num_columns=1)


def table(key: str) -> panels.WeavePanelSummaryTable:
    """The last one of each run."""
    return panels.WeavePanelSummaryTable(table_name=key)


def sweep(head: str) -> panels.ParallelCoordinatesPlot:
    """From the options to the rare objects that are called by their name."""
    found = [f"val/{head}/{part}" for part in ("AP", "APr", "right_label_r")]
    return panels.ParallelCoordinatesPlot(
        title=head,
        columns=[
            *(column(panels.Config(key), name) for name, key in SWEPT.items()),
            *(column(panels.SummaryMetric(key), key) for key in found),
        ],
    )


def column(metric: object, name: str) -> panels.ParallelCoordinatesPlotColumn:
    """An axis."""
    return panels.ParallelCoordinatesPlotColumn(metric, display_name=name)


def main() -> None:
    """Save the view and print its address."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entity", required=True, help="your name at W&B, or your team's")
    parser.add_argument("--project", default="bacl")
    parser.add_argument("--heads", nargs="+", default=["baseline", "bacl"])
    parser.add_argument("--groups", nargs="+", default=["r", "c", "f"], help="of COCO-LT: 1 2 3 4")
    options = parser.parse_args()
    made = workspace(options.entity, options.project, options.heads, options.groups)
    print(made.save().url)


if __name__ == "__main__":
    main()
