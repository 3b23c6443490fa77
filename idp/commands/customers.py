"""`idp customers`."""

from idp.commands.terminal import group

app = group("To be written.")


@app.callback()
def _customers() -> None:
    """To be written."""
