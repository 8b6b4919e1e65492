"""The contract of an adapter: what another toolkit's classifier sees, and where another one goes.

C: categories. D: width of a feature.
"""

from abc import ABC, abstractmethod
from pathlib import Path

from torch import Tensor

from bacl.data.datamodule import DetectionDataModule
from bacl.options.marks import Free
from bacl.options.ranges import Text
from bacl.rebalance.compared_data import check_data
from bacl.rebalance.dump import Dump, write_classifier


class Adapter(ABC):
    """Gives the dump of a data set, and hands back the classifier that was trained on it.

    Args:
        dump: folder of the dump.
    """

    def __init__(self, dump: Free[Text]) -> None:
        self.folder = Path(dump)

    @abstractmethod
    def dump(self, data: DetectionDataModule) -> Dump:
        """The whole dump; what is there of it is not made again.

        Args:
            data: pictures as they are in their files, with their objects.

        Raises:
            DumpError: the folder holds a dump of something else, or the dump is damaged.
            RowsError: rows of an image do not fit together.
        """

    @abstractmethod
    def hand_back(self, folder: Path, weight: Tensor, bias: Tensor) -> Path:
        """Write a classifier for the other toolkit into a folder; returns the file.

        Args:
            folder: of the run.
            weight: (C + 1, D) of the categories and, last, background.
            bias: (C + 1,).
        """


class GivenDump(Adapter):
    """A dump that another program wrote (docs/rebalance.md); it gets weight and bias back.

    Args:
        dump: its folder.
    """

    def dump(self, data: DetectionDataModule) -> Dump:
        """See `Adapter.dump`."""
        dump = Dump(self.folder)
        dump.check([int(number) for number in data.train_table.category_ids])
        check_data(dump, data)
        return dump

    def hand_back(self, folder: Path, weight: Tensor, bias: Tensor) -> Path:
        """Rows of its classifier.safetensors, in the same order, as balanced.safetensors."""
        rows = len(Dump(self.folder).classifier[1])
        return write_classifier(folder, "balanced.safetensors", weight[:rows], bias[:rows])
