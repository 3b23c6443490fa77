"""The outside world: endpoint table, request parsing, cookies, pages, headers, errors, the CLI.

This room owns everything that a browser, a client or an operator touches: the endpoint table,
request parsing, cookies, the pages, security headers, error rendering and the command line.
It must not know what a grant means or what a tuple looks like.
"""
