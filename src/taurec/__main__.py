"""``python -m taurec``: the same as the command ``taurec``."""

import sys

from taurec.cli import main

if __name__ == "__main__":
    sys.exit(main())
