"""What the words do: ask the client, follow what happens, draw. Options belong to `words`,
drawings to `views`.
"""
