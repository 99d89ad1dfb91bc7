"""Running graphs: targets and their executors."""
