"""Calls that look native to users of ONNX and ONNX Runtime."""
