"""The one set of inputs of commands that run a network again and again: from files, or random."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from gie_core.errors import GieError

if TYPE_CHECKING:
    from gie_core.engine.engine import TensorInfo
    from gie_core.ir.types import Array

__all__ = ["Given", "input_options"]


@dataclass(frozen=True)
class Given:
    """What the user said about inputs.

    Args:
        files: FILE or NAME=FILE.
        preprocess: from pictures to arrays.
        seed: of what is random.
        dims: NAME=N, sizes of what is random.
    """

    files: tuple[str, ...]
    preprocess: str
    seed: int
    dims: tuple[str, ...]

    def check(self) -> None:
        """See before the work whether it can be meant.

        Raises:
            GieError: a file does not exist, or a step or size reads wrong.
        """
        from gie_core.cli.inputs import check_files
        from gie_core.cli.model import parse_sizes
        from gie_core.cli.preprocess import parse_preprocess

        check_files(self.files)
        parse_preprocess(self.preprocess)
        parse_sizes(self.dims)

    def feed(self, inputs: Sequence[TensorInfo]) -> dict[str, Array]:
        """An array for each input; random ones where no file is given.

        Raises:
            GieError: files or sizes do not fit the inputs.
        """
        import numpy as np

        from gie_core.cli.inputs import Loader, assign_files, check_sizes, random_array
        from gie_core.cli.model import parse_sizes
        from gie_core.cli.preprocess import parse_preprocess

        sizes = parse_sizes(self.dims)
        check_sizes(sizes, inputs)
        read: dict[str, Array] = {}
        if self.files:
            feeds = assign_files(self.files, self._fed(inputs))
            if len(feeds) > 1:
                raise GieError(f"one set of inputs is needed, but these files make {len(feeds)}")
            read = Loader(inputs, parse_preprocess(self.preprocess)).load(feeds[0])
        if sizes and len(read) == len(inputs):
            raise GieError("--dim gives sizes to random inputs, but all have files")
        rng = np.random.default_rng(self.seed)
        return {
            each.name: read[each.name] if each.name in read else random_array(each, rng, sizes)
            for each in inputs
        }

    def _fed(self, inputs: Sequence[TensorInfo]) -> list[TensorInfo]:
        """The inputs that the files have to feed: those named, or all if a file has no name."""
        names = {name for name, equals, _ in (f.partition("=") for f in self.files) if equals}
        named = [each for each in inputs if each.name in names]
        return named if len(named) == len(self.files) else list(inputs)


def input_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds INPUT, ``--input``, ``--preprocess``, ``--seed`` and ``--dim`` to a command.

    The command gets them in one parameter, ``given``.
    """

    @wraps(command)
    def bundled(
        *,
        files: tuple[str, ...],
        inputs: tuple[str, ...],
        preprocess: str,
        seed: int,
        dims: tuple[str, ...],
        **others: Any,
    ) -> Any:
        return command(given=Given((*inputs, *files), preprocess, seed, dims), **others)

    for decorate in (
        click.option(
            "--dim", "dims", multiple=True, metavar="NAME=N", help="Size of a random dimension."
        ),
        click.option(
            "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of random inputs."
        ),
        click.option(
            "--preprocess", default="", metavar="STEPS", help="From pictures to arrays, in steps."
        ),
        click.option(
            "-i",
            "--input",
            "inputs",
            multiple=True,
            metavar="[NAME=]FILE",
            help="The same as INPUT; may be repeated.",
        ),
        click.argument("files", nargs=-1, metavar="[INPUT]..."),
    ):
        bundled = decorate(bundled)
    return bundled
