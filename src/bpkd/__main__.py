"""``python -m bpkd`` is the command ``bpkd``."""

from bpkd.cli import main

if __name__ == "__main__":
    main()
