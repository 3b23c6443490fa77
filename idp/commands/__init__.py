"""The operator's commands: one module for each group, imported only when it is asked for."""
