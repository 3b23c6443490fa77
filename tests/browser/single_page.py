"""A single-page application with oidc-client-ts, as docs/integrate.md tells how to write one."""

import contextlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from tests import guide

CLIENT_ID = "shop-spa"
_LIBRARIES = Path(__file__).parents[2] / ".venv" / "browser"
_PAGE = """\
<!doctype html>
<html lang="en">
<title>Shop</title>
<link rel="icon" href="data:,">
<script type="importmap">{"imports": {"oidc-client-ts": "/oidc-client-ts.js"}}</script>
<button id="sign-in">Sign in</button>
<button id="sign-out">Sign out</button>
<output></output>
<script type="module">
    import { users } from "/users.js";

    window.users = users;
    document.querySelector("#sign-in").onclick = () => users.signinRedirect();
    document.querySelector("#sign-out").onclick = () => users.signoutRedirect();
    const user = await users.getUser();
    document.querySelector("output").textContent = user ? user.profile.phone_number : "nobody";
</script>
"""


class Application:
    """Its files, and the two addresses that it is found at."""

    def __init__(self, port: int) -> None:
        self.same_site = f"http://127.0.0.1:{port}"
        """Of the provider's site, which is its host whatever the port."""
        self.other_site = f"http://localhost:{port}"
        self.files: dict[str, tuple[str, str]] = {}

    def channels(self) -> str:
        """The guide's channels file, for an application at both addresses."""
        text = guide.channels_file().replace("logos/shop.svg", "logos/demo.svg")
        for path in ("/callback", "/"):
            uris = '", "'.join(f"{origin}{path}" for origin in (self.same_site, self.other_site))
            text = text.replace(f'["https://shop.example.com{path}"]', f'["{uris}"]')
        return text

    def use(self, issuer: str) -> None:
        """Serve the guide's module, told of another provider than the guide's."""
        module = guide.block("js", "new UserManager").replace(guide.ISSUER, issuer)
        (bundle,) = _LIBRARIES.glob("oidc-client-ts-*.js")
        # A bundler would do the rest: the bundle for browsers is no module.
        library = bundle.read_text("utf-8").rpartition("//# sourceMappingURL")[0]
        library += "export const { UserManager } = oidc;\n"
        script = "text/javascript; charset=utf-8"
        self.files["/users.js"] = (module, script)
        self.files["/oidc-client-ts.js"] = (library, script)
        for page in ("/", "/callback"):
            self.files[page] = (_PAGE, "text/html; charset=utf-8")


@contextlib.contextmanager
def served() -> Iterator[Application]:
    """An application that is reached by the browser."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content, media_type = application.files.get(
                urlsplit(self.path).path, ("", "text/plain")
            )
            self.send_response(200 if content else 404)
            self.send_header("Content-Type", media_type)
            self.end_headers()
            self.wfile.write(content.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        application = Application(server.server_port)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield application
        finally:
            server.shutdown()
            thread.join()
