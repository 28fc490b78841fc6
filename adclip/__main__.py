"""`python -m adclip` is the same as `adclip`."""

from adclip.cli.main import main

if __name__ == "__main__":
    main()
