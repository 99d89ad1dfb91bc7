"""Graph optimization passes."""
