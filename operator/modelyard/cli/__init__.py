"""The command line: words and pictures on top of `modelyard.client`. What is asked of Kubernetes
does not belong here.
"""
