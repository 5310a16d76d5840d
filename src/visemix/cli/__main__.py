"""`python -m visemix.cli`, where no `visemix` is on the path."""

from visemix.cli.app import app

app()
