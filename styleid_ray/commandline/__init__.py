"""The words of the command line: the options that each command takes, help texts, mistakes."""
