"""The built-in data set: scenes of letters, made from a seed."""
