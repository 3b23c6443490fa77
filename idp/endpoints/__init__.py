"""The endpoints, one file each; `idp.routes` lists them."""
