"""Kubernetes objects as values: names, owned kinds, and the state of Jobs and pods. Pure.

What belongs elsewhere: requests (`adapters`), building whole objects and deciding about them (the
kinds), and which objects exist (`cache`).

In reading order:

    names       every derived name, label, annotation and tag
    owned       the owned kinds, and the owner of an object
    applied     comparing an owned object with its manifest; quantities  resource quantities
    pods        what every generated pod has
    jobs        the state of a Job, and times of its pods
    pod_state   why a pod ended, does not start or cannot be created
    pod_life    whether a running pod crashed or stopped answering
    pod_words   removing credentials from what pods report
    policies    whether the admission policies are in force
    tags        our tags in MLflow
"""
