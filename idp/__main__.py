"""Start the command line: `python -m idp`, and the `idp` script.

A module of its own, because every worker process imports again what the parent was started from.
"""

import sys

# structlog imports rich, which typer brings along, wherever there is one: a tenth of the start and
# 3 MB of every worker, for tracebacks that we do not show.
sys.modules["rich"] = None  # type: ignore[assignment]

_INTERRUPTED = 128 + 2  # as a shell reports SIGINT


def main() -> None:
    """Run the command line on `sys.argv`, and exit."""
    try:
        from idp import cli  # noqa: PLC0415  see above

        cli.main()
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)


if __name__ == "__main__":
    main()
