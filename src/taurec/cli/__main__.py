"""``python -m taurec.cli``: the same as ``taurec``."""

import sys

from taurec.cli import main

sys.exit(main())
