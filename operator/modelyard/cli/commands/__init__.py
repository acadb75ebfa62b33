"""What each command does: call the client, follow progress, print.

Options do not belong here (`cli.words`), and neither do drawings (`cli.views`).
"""
