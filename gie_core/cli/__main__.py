"""``python -m gie_core.cli`` is ``gie``."""

from __future__ import annotations

import sys

from gie_core.cli.main import main

sys.exit(main())
