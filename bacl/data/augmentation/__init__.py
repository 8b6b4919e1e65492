"""What happens to a sample on its way to the batch."""
