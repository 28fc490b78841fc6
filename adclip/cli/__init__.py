"""The command line: thin twins of the verbs, and all drawing. Nothing else imports typer or rich."""
