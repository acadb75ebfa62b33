{{/* Rules about several values together; the schema has those about single values. Reports all errors at once. Renders nothing. */}}
{{- define "modelyard.validate" -}}
{{- $wrong := list -}}
{{- $seen := dict -}}
{{- range $i, $tenant := .Values.tenants -}}
{{- $at := printf "tenants[%d] (%s)" $i $tenant.namespace -}}
{{- if hasKey $seen $tenant.namespace -}}
{{- $wrong = append $wrong (printf "%s: the namespace is listed twice; a namespace has only one connection" $at) -}}
{{- end -}}
{{- $_ := set $seen $tenant.namespace true -}}
{{- if $tenant.existingSecret -}}
{{- if or $tenant.mlflow $tenant.s3 -}}
{{- $wrong = append $wrong (printf "%s: with existingSecret the Secret modelyard-connection must exist; leave out mlflow and s3" $at) -}}
{{- end -}}
{{- else -}}
{{- $mlflow := $tenant.mlflow | default dict -}}
{{- if not (and $tenant.mlflow $tenant.s3) -}}
{{- $wrong = append $wrong (printf "%s: set mlflow and s3, or set existingSecret: true if the Secret modelyard-connection exists" $at) -}}
{{- end -}}
{{- if and $mlflow.token (or $mlflow.username $mlflow.password) -}}
{{- $wrong = append $wrong (printf "%s: mlflow has both a token and a user; set one of them" $at) -}}
{{- end -}}
{{- if ne (empty $mlflow.username) (empty $mlflow.password) -}}
{{- $wrong = append $wrong (printf "%s: set both mlflow.username and mlflow.password, or neither" $at) -}}
{{- end -}}
{{- end -}}
{{- if and $tenant.labels (not $tenant.createNamespace) -}}
{{- $wrong = append $wrong (printf "%s: labels are only for a namespace that the chart creates; set createNamespace, or label it yourself" $at) -}}
{{- end -}}
{{- if and (hasKey $tenant "keepNamespace") (not $tenant.createNamespace) -}}
{{- $wrong = append $wrong (printf "%s: keepNamespace is only for a namespace that the chart creates; set createNamespace, or leave it out" $at) -}}
{{- end -}}
{{- end -}}
{{- if .Values.demo.enabled -}}
{{- if hasKey $seen .Values.demo.tenant.namespace -}}
{{- $wrong = append $wrong (printf "demo.tenant.namespace: %s is in tenants as well; name another one" .Values.demo.tenant.namespace) -}}
{{- end -}}
{{- if and .Values.demo.mlflow.backendStoreUri .Values.demo.mlflow.backendStoreSecret.name -}}
{{- $wrong = append $wrong "demo.mlflow: backendStoreUri and backendStoreSecret both name a database; set one of them" -}}
{{- end -}}
{{- if and .Values.demo.minio.existingSecret (or .Values.demo.minio.rootUser .Values.demo.minio.rootPassword) -}}
{{- $wrong = append $wrong "demo.minio: existingSecret holds the keys; leave out rootUser and rootPassword" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.purge.enabled (not .Values.demo.enabled) (not .Values.purge.backendStoreSecret) -}}
{{- $wrong = append $wrong "purge.backendStoreSecret: name the Secret with MLflow's database and the keys of S3, or set purge.enabled to false" -}}
{{- end -}}
{{- if and .Values.demo.enabled (or .Values.purge.enabled .Values.purge.backendStoreSecret) -}}
{{- $wrong = append $wrong "purge: with demo.enabled the demo's database is purged; leave out purge.enabled and purge.backendStoreSecret" -}}
{{- end -}}
{{- if and .Values.podDisruptionBudget.enabled (ge (int .Values.podDisruptionBudget.minAvailable) (int .Values.replicas)) (gt (int .Values.replicas) 1) -}}
{{- $wrong = append $wrong (printf "podDisruptionBudget.minAvailable: %v of %v replicas prevents every node drain; reduce it" .Values.podDisruptionBudget.minAvailable .Values.replicas) -}}
{{- end -}}
{{- $runtime := include "modelyard.image" (dict "root" . "image" .Values.runtime.image) -}}
{{- if gt (len $runtime) 256 -}}
{{- $wrong = append $wrong (printf "runtime.image: its name has %d characters, but a model's status has room for 256; give the image a shorter name" (len $runtime)) -}}
{{- end -}}
{{- if .Values.policies.fence -}}
{{- range $name := concat .Values.watchNamespaces (keys $seen) (ternary (list .Values.demo.tenant.namespace) list .Values.demo.enabled) | uniq -}}
{{- if has $name (list "kube-system" "kube-public" "kube-node-lease" $.Release.Namespace) -}}
{{- $wrong = append $wrong (printf "%s: policies.fence forbids the operator to write in the system's namespaces and its own; use another namespace for models" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if $wrong -}}
{{- fail (printf "\n\nThe values contradict each other:\n- %s\n" (join "\n- " $wrong)) -}}
{{- end -}}
{{- end -}}
