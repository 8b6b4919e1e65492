"""What options there are, of which type and range; `bacl.jobs.check` compares a command with it."""
