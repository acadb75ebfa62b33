"""What is known of Kubernetes' own objects, without a request. Pure.

`names` derives every name; `pods` holds what every generated pod has; `jobs` and `pod_state` read
Jobs, Deployments and pods; `diff` compares; `tags` is about our tags in MLflow.
"""
