"""`idp tokens`."""

from idp.commands.terminal import group

app = group("To be written.")


@app.callback()
def _tokens() -> None:
    """To be written."""
