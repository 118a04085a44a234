"""`python -m unitrate.cli`: the same as the `unitrate` command."""

from __future__ import annotations

import sys

from unitrate.cli import main

if __name__ == "__main__":
    sys.exit(main())
