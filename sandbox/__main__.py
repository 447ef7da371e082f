"""What ``python3 -m sandbox`` runs."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    try:
        from sandbox.cli import main

        code = main(sys.argv[1:])
    except KeyboardInterrupt:  # before `main` could take care of it
        code = 130
    sys.exit(code)
