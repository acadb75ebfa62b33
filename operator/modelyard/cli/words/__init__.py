"""The commands that users type, one module each: arguments, options and help text.

What a command does is in `cli.commands`, which is imported when the command runs. A docstring here
is the help text.
"""
