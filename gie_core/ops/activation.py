"""Activation functions. In f16, bf16 and smaller floats only the result is rounded."""

from __future__ import annotations

from gie_core.ir.op import OpError
from gie_core.ir.types import Array, DType, TensorType
from gie_core.ops.elementwise import Elementwise, Unary
from gie_core.ops.operands import check_choice, check_dtype

__all__ = [
    "Celu",
    "Elu",
    "Gelu",
    "HardSigmoid",
    "HardSwish",
    "LeakyRelu",
    "Mish",
    "PRelu",
    "Relu",
    "Selu",
    "Shrink",
    "Sigmoid",
    "Silu",
    "Softplus",
    "Softsign",
    "Tanh",
    "ThresholdedRelu",
]


class Activation(Unary):
    """Base: a formula of several steps over x."""

    rounds_once = True


class Relu(Unary, name="relu", formula="max(x, 0)"):
    """max(x, 0)."""


class LeakyRelu(Activation, name="leaky_relu"):
    """x where x ≥ 0, alpha·x elsewhere."""

    alpha: float = 0.01

    def formula(self, *dtypes: DType | None) -> str:
        return f"select(x >= 0, x, {self.alpha} * x)"


class PRelu(Elementwise, name="prelu"):
    """x where x ≥ 0, slope·x elsewhere; the slope broadcasts to x's shape."""

    rounds_once = True

    def formula(self, *dtypes: DType | None) -> str:
        return "select(x >= 0, x, slope * x)"

    def infer(self, x: TensorType, slope: TensorType) -> TensorType:
        check_dtype(x.dtype, slope=slope)
        result = self._infer(x, slope)
        if result.rank != x.rank:
            raise OpError(f"the slope {slope} does not broadcast to {x}")
        return result

    def compute(self, x: Array, slope: Array) -> Array:
        return self._compute(x, slope)


class ThresholdedRelu(Activation, name="thresholded_relu"):
    """x where x > alpha, 0 elsewhere."""

    alpha: float = 1.0

    def formula(self, *dtypes: DType | None) -> str:
        return f"select(x > {self.alpha}, x, 0)"


class Elu(Activation, name="elu"):
    """x where x > 0, alpha·(eˣ - 1) elsewhere."""

    alpha: float = 1.0

    def formula(self, *dtypes: DType | None) -> str:
        return f"select(x > 0, x, {self.alpha} * expm1(x))"


class Selu(Activation, name="selu"):
    """gamma·x where x > 0, gamma·alpha·(eˣ - 1) elsewhere.

    The defaults are those of G. Klambauer et al., "Self-Normalizing Neural Networks", 2017, in
    f32.
    """

    alpha: float = 1.67326319217681884765625
    gamma: float = 1.05070102214813232421875

    def formula(self, *dtypes: DType | None) -> str:
        return f"{self.gamma} * select(x > 0, x, {self.alpha} * expm1(x))"


class Celu(Activation, name="celu"):
    """x where x > 0, alpha·(exp(x / alpha) - 1) elsewhere."""

    alpha: float = 1.0

    def formula(self, *dtypes: DType | None) -> str:
        return f"select(x > 0, x, {self.alpha} * expm1(x / {self.alpha}))"


class Sigmoid(Activation, name="sigmoid", formula="1 / (1 + exp(-x))"):
    """1 / (1 + e⁻ˣ). Where e⁻ˣ overflows, it is 0, as it should be."""


class HardSigmoid(Activation, name="hard_sigmoid"):
    """alpha·x + beta, clipped to [0, 1]."""

    alpha: float = 0.2
    beta: float = 0.5

    def formula(self, *dtypes: DType | None) -> str:
        return f"max(min({self.alpha} * x + {self.beta}, 1), 0)"


class HardSwish(Activation, name="hard_swish", formula="x * max(min(x / 6 + 0.5, 1), 0)"):
    """x·hard_sigmoid(x) with alpha = 1/6 and beta = 1/2."""


class Silu(Activation, name="silu"):
    """x·sigmoid(alpha·x), also called swish."""

    alpha: float = 1.0

    def formula(self, *dtypes: DType | None) -> str:
        return "x / (1 + exp(-x))" if self.alpha == 1 else f"x / (1 + exp({-self.alpha} * x))"


class Softplus(Activation, name="softplus", formula="max(x, 0) + log1p(exp(-abs(x)))"):
    """log(eˣ + 1), written so that nothing overflows or cancels."""


class Softsign(Activation, name="softsign", formula="x / (1 + abs(x))"):
    """x / (1 + |x|)."""


class Tanh(Unary, name="tanh", formula="tanh(x)"):
    """The hyperbolic tangent."""


class Mish(Activation, name="mish"):
    """x·tanh(softplus(x)).

    With t = e⁻|ˣ|, the hyperbolic tangent is n / (n + d), where n = 1 + 2t and d = 2t² for x ≥ 0,
    and n = t·(t + 2) and d = 2 for x < 0: one exponential, and nothing overflows or cancels.
    """

    def formula(self, *dtypes: DType | None) -> str:
        return (
            "let t = exp(-abs(x)); "
            "let n = select(x >= 0, 1 + 2 * t, t * (t + 2)); "
            "let d = select(x >= 0, 2 * t * t, 2); "
            "x * (n / (n + d))"
        )


class Gelu(Activation, name="gelu"):
    """x·Φ(x), where Φ is the distribution function of the normal distribution.

    Args:
        approximate: "none" for Φ(x) = (1 + erf(x / √2)) / 2, or "tanh" for its approximation
            (1 + tanh(√(2/π)·(x + 0.044715·x³))) / 2 (D. Hendrycks, K. Gimpel, 2016).
    """

    approximate: str = "none"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice(self, "approximate", ("none", "tanh"))

    def formula(self, *dtypes: DType | None) -> str:
        if self.approximate == "tanh":
            return "0.5 * x * (1 + tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)))"
        return "0.5 * x * (1 + erf(0.7071067811865476 * x))"


class Shrink(Activation, name="shrink"):
    """x + bias where x < -lambd, x - bias where x > lambd, 0 between.

    Integers are computed in f64 and cut toward zero.
    """

    bias: float = 0.0
    lambd: float = 0.5

    def formula(self, *dtypes: DType | None) -> str:
        (dtype,) = dtypes
        x = "f64(x)" if dtype is not None and dtype.is_integer else "x"
        above = f"select({x} > {self.lambd}, {x} - {self.bias}, 0)"
        moved = f"select({x} < {-self.lambd}, {x} + {self.bias}, {above})"
        return moved if x == "x" else f"{dtype}({moved})"
