"""``python -m remibench`` is the command ``remibench``."""

import sys

from remibench.cli import main

sys.exit(main())
