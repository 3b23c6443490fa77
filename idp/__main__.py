"""Start the command line: `python -m idp`, and the `idp` script.

A module of its own, because every worker process imports again what the parent was started from.
"""


def main() -> None:
    """Run the command line on `sys.argv`, and exit."""
    from idp import cli  # noqa: PLC0415  see above

    cli.main()


if __name__ == "__main__":
    main()
