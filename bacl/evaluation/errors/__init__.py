"""What went wrong, for which categories: kinds of errors, and what each of them costs."""
