"""The matrix of the policies: which account may send which request, tested on a real API server.

In reading order: `row` (a case, and how it is sent), `accounts`, `objects` and `world` (the API
server with accounts and objects), `models`, `deletion`, `runs`, `held`, `people`, `serving`,
`evidence` and `operator` (the cases, by family of policies; `patches` has what they share),
`test_matrix` (runs them). Requests are dry runs, so that no case affects the next one. Life cycles
of objects, from creation to deletion, are in `tests.chart.test_policies`.
"""
