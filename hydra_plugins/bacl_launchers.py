"""Where Hydra looks for plugins: it accepts only classes of the namespace `hydra_plugins`."""

from bacl.launchers import one_pass_launcher as one_pass
from bacl.launchers import process_launcher as process
from bacl.launchers import row_sweeper as rows


class ProcessLauncher(process.ProcessLauncher):
    """`hydra/launcher=process`, the default of `-m`."""


class OnePassLauncher(one_pass.OnePassLauncher):
    """`hydra/launcher=one_pass`."""


class RowSweeper(rows.RowSweeper):
    """`hydra/sweeper=rows`, chosen by the files of conf/sweep."""
