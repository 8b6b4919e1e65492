"""failed_heads.json: why a stage goes on without heads, for a run that is given again."""

import json
from collections.abc import Mapping
from pathlib import Path

from lightning.pytorch.utilities.rank_zero import rank_zero_only

from bacl.files.atomic import replacing

FAILED_HEADS = "failed_heads.json"


@rank_zero_only
def write_failed_heads(folder: Path, reasons: Mapping[str, str]) -> None:
    """Write one line for each head that failed in the training of this folder, earlier ones too."""
    reasons = {**read_failed_heads(folder), **reasons}
    with replacing(folder / FAILED_HEADS) as path:
        path.write_text(json.dumps(reasons, indent=1) + "\n", encoding="utf-8")


def read_failed_heads(folder: Path) -> dict[str, str]:
    """What was written there; nothing where it is missing or damaged: it only explains."""
    try:
        content = json.loads((folder / FAILED_HEADS).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(content, dict):
        return {}
    return {name: why for name, why in content.items() if isinstance(why, str)}
