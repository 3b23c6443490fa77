"""Grant types: one file each; `table.GRANTS` lists them."""
