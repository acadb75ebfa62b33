"""Gates: one pure module per kind of gate.

To read in this order:

    judged      a gate's answer, before it is recorded
    judging     asks the gates of a stage; for a new kind of gate, add a module and a line in its
                table
    metric, incumbent, signature, soak, dataset, approvals   one kind each
    values      what several kinds read
    pods        builds the Job of a gate that needs pods
    job_results reads the result of such a Job

Reading evidence does not belong here (`evidence`), nor does what follows from a verdict (`checks`,
`trial`, `verification`).
"""
