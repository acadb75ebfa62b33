"""The matrix of the policies: who may do what, as data, judged by a real API server.

In reading order: `row` (what a case is, and how it is sent), `world` (who asks, and what is there),
`models`, `serving`, `operator` (the cases, by family of policies), `test_matrix` (runs them).
Requests are dry runs, which are judged like any other, so no case changes what the next one finds.
What a whole life of an object looks like does not belong here (`tests.chart.test_policies`).
"""
