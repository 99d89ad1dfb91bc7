"""Handlers of ONNX ops, one module per family; see ``registry``."""
