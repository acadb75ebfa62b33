"""The command line `modelyard`, on top of `modelyard.client`.

The modules in reading order: `app` (all commands together, and errors as exit codes), `groups` (how
a command is made from a function and loaded on demand), `options` (options that commands share),
`acting` (`--as`), `words` (one module per command: arguments and help), `commands` (what each
command does), `views` (what it draws; pure), `screen` (standard output and error), `program` (hints
to copy), `exits` (exit codes), `completing` (shell completion).

Requests to Kubernetes do not belong here: they are in `modelyard.client`.
"""
