"""`python -m mien` is the same as `mien`."""

from mien.apps.cli import main

if __name__ == "__main__":
    main()
