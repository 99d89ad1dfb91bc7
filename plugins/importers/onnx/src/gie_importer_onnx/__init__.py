"""Reads ONNX models into GIE graphs."""
