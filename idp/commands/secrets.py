"""`idp secrets`."""

from idp.commands.terminal import group

app = group("To be written.")


@app.callback()
def _secrets() -> None:
    """To be written."""
