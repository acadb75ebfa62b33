"""Gates: one pure module per kind of gate.

To read in this order:

    judged      a gate's answer, before it is recorded
    judging     asks the gates of a stage; a new kind of gate is a module and a line in its table
    metric, incumbent, signature, soak, dataset, approvals   one kind each
    values      what several kinds read
    pods        the Job of a gate that needs pods
    tries       what such a Job says

Reading evidence does not belong here (`evidence`), nor does what follows from a verdict (`checks`,
`trial`, `verification`).
"""
