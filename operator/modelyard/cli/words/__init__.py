"""The words that people say, with their arguments, options and help. What they do stands in
`commands`, which is loaded when it is said.
"""
