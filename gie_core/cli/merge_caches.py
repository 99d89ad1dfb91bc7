"""``gie merge-caches``: one timing cache of several."""

from __future__ import annotations

from functools import reduce
from pathlib import Path

import click

from gie_core.cli.console import clean, count
from gie_core.errors import GieError

__all__ = ["merge_caches"]

PATH = click.Path(path_type=Path)


@click.command("merge-caches", short_help="Make one timing cache of several.")
@click.argument("caches", nargs=-1, required=True, type=PATH, metavar="CACHE...")
@click.option("-o", "--output", type=PATH, required=True, help="The file; may be one of them.")
def merge_caches(caches: tuple[Path, ...], output: Path) -> None:
    """Make one timing cache of several, whose order does not matter.

    Of two timings of one candidate the shorter counts, since disturbances only add to it; what
    was wrong or failed once stays out.
    """
    from gie_core.builder.timing_cache import TimingCache, merge

    for path in caches:
        if not path.is_file():
            raise GieError(f"there is no timing cache {path}")
    merged = reduce(merge, [TimingCache.load(path) for path in caches])
    merged.save(output)
    click.echo(clean(f"{output}: {count(len(merged), 'timing')}"))
