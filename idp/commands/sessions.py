"""`idp sessions`."""

from idp.commands.terminal import group

app = group("To be written.")


@app.callback()
def _sessions() -> None:
    """To be written."""
