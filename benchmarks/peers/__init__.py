"""Servers of others, asked for the same by the same generator in the same run.

Each is started as its own documentation wants it in production, as far as one machine allows, and
is stopped again; install.sh has their versions.
"""
