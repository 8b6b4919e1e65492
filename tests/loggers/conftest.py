from tests.tiny_stage import fit, saved, stage  # noqa: F401  (fixtures)
