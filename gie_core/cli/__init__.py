"""The command line ``gie``: one file per command, loaded when it runs."""
