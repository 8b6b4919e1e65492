"""One process of `test_two_processes`: evaluates its shares and writes what it found."""

import argparse
import json
from pathlib import Path

import torch.distributed as dist

from bacl.data.annotations.table import AnnotationTable
from bacl.evaluation.lvis_ap import LVISAveragePrecision
from bacl.evaluation.results_json import load_results


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("annotations", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("shares", nargs="+")
    parser.add_argument("--rank", type=int, required=True)
    arguments = parser.parse_args()
    folder, rank = arguments.folder, arguments.rank
    dist.init_process_group(
        "gloo", init_method=f"file://{folder / 'store'}", rank=rank, world_size=2
    )
    table = AnnotationTable.open(arguments.annotations, cache=folder / f"cache_{rank}")
    metric = LVISAveragePrecision(table, masks=True)
    for share in arguments.shares:
        detections = load_results(folder / f"{share}_{rank}.json", table, masks=True)
        if len(detections.image_ids):  # a process without images never calls update
            metric.update(detections)
        summary = {name: float(value) for name, value in metric.compute().items()}
        found = {"summary": summary, "parts": len(metric.image_ids)}  # parts: the local ones again
        (folder / f"{share}_{rank}_found.json").write_text(json.dumps(found))
        metric.reset()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
