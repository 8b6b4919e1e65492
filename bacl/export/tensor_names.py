"""Names of the inputs and outputs of an exported detector."""

INPUTS = ("image", "size")
OUTPUTS = ("boxes", "scores", "labels")
