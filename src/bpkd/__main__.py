"""``python -m bpkd`` is the command ``bpkd``."""

import sys
from pathlib import Path

if __name__ == "__main__":
    # Python puts the folder where it is called first: a recipe's neighbours would be imported for
    # libraries of the same name. Training finds it again, at the end.
    sys.path[:] = [path for path in sys.path if path not in ("", str(Path.cwd()))]
    from bpkd.cli import main

    main()
