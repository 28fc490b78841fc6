"""One file a command: settings in, result out. Verbs compute, write and return; they never print."""
