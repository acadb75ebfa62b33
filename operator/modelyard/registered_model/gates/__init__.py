"""Gates: one pure module a kind. `judging` asks those of a stage; a new kind is another module
in its table.
"""
