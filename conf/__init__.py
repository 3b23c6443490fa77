"""What the server is told before it starts: typed settings, and the channels file.

Owns: reading, checking and completing both kinds of TOML file, with all faults reported together
(`settings`, `channels_file`; beneath them `model`, `channels`, `decoding`, `urls`, `svg`). Secrets
are named in these files and live elsewhere. The samples beside the code are data:
`production.toml`, `demo.toml`, `channels.toml` and the channels' logos.

Must not know: everything else. It imports no other room, opens no connection, and does not judge
client metadata, which is the protocol's business (`flows`).
"""
