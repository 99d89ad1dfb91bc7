"""From a model to something that runs: importing, passes, choice of kernels."""
