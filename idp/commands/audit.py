"""`idp audit`."""

from idp.commands.terminal import group

app = group("To be written.")


@app.callback()
def _audit() -> None:
    """To be written."""
