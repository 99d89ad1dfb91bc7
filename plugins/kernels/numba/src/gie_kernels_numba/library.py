"""Functions of f32 that generated kernels call, as text: they are compiled with their callers.

They have no branch and no call that LLVM can't vectorize.
"""

from __future__ import annotations

__all__ = ["FAST", "LIBRARY"]

FAST = ("multiply_add",)
"""Those in which a product and a sum may be rounded once."""

LIBRARY = {
    "multiply_add": """
def multiply_add(a, b, c):
    return a + b * c
""",
    # NaN if either is; -0 is less than +0.
    "maximum": """
def maximum(a, b):
    larger = a if a > b or a != a else b
    return a + b if a == b and a == float32(0.0) else larger
""",
    "minimum": """
def minimum(a, b):
    smaller = a if a < b or a != a else b
    return -(-a - b) if a == b and a == float32(0.0) else smaller
""",
    "sign": """
def sign(a):
    one = float32(1.0) if a > float32(0.0) else float32(-1.0)
    return one if abs(a) > float32(0.0) else a + float32(0.0)
""",
    # exp(a) = 2ⁿ·exp(r) with |r| ≤ ln(2)/2, whose polynomial is that of Cephes (S. Moshier,
    # expf). ln(2) is subtracted in two parts; 2ⁿ is made of bits, in two factors, since it may
    # be subnormal or just above the largest f32.
    "exp": """
def exp(a):
    x = float32(-104.0) if a < float32(-104.0) else a
    x = float32(89.0) if x > float32(89.0) else x
    n = floor(x * float32(1.4426950408889634) + float32(0.5))
    n = n if n == n else float32(0.0)
    r = x - n * float32(0.693359375)
    r = r - n * float32(-2.1219444e-4)
    p = float32(1.9875691e-4)
    p = p * r + float32(1.3981999e-3)
    p = p * r + float32(8.3334519e-3)
    p = p * r + float32(4.1665796e-2)
    p = p * r + float32(1.6666665e-1)
    p = p * r + float32(5.0000001e-1)
    p = p * (r * r) + r + float32(1.0)
    k = int32(n)
    h = int32(k >> int32(1))
    low = int32((h + int32(127)) << int32(23)).view(float32)
    high = int32((k - h + int32(127)) << int32(23)).view(float32)
    return p * low * high
""",
    # Near zero the polynomial of Cephes (tanhf), elsewhere 1 - 2/(exp(2|a|) + 1).
    "tanh": """
def tanh(a):
    s = a * a
    p = float32(-5.7049887e-3)
    p = p * s + float32(2.0639089e-2)
    p = p * s + float32(-5.3739716e-2)
    p = p * s + float32(1.3331442e-1)
    p = p * s + float32(-3.3333282e-1)
    near = p * s * a + a
    far = float32(1.0) - float32(2.0) / (exp(abs(a) * float32(2.0)) + float32(1.0))
    far = -far if a < float32(0.0) else far
    return near if abs(a) < float32(0.625) else far
""",
}
"""Text by name. A function may call those that stand before it."""
