"""The sections of the page, one file each; the order in which they stand is the page's."""
