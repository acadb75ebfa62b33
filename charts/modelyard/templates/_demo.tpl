{{- define "modelyard.mlflowName" -}}
{{- printf "%s-mlflow" (include "modelyard.fullname" .) -}}
{{- end -}}

{{- define "modelyard.minioName" -}}
{{- printf "%s-minio" (include "modelyard.fullname" .) -}}
{{- end -}}

{{- define "modelyard.mlflowUrl" -}}
{{- printf "http://%s.%s.svc:%v" (include "modelyard.mlflowName" .) .Release.Namespace .Values.demo.mlflow.port -}}
{{- end -}}

{{- define "modelyard.minioUrl" -}}
{{- printf "http://%s.%s.svc:%v" (include "modelyard.minioName" .) .Release.Namespace .Values.demo.minio.port -}}
{{- end -}}

{{- define "modelyard.minioSecret" -}}
{{- .Values.demo.minio.existingSecret | default (include "modelyard.minioName" .) -}}
{{- end -}}

{{/*
MinIO's keys as JSON: those of the values, those in the cluster, or new ones. New keys are generated once per rendering, because several
templates need the same.
*/}}
{{- define "modelyard.minioKeys" -}}
{{- if not (hasKey .Values.demo "drawnKeys") -}}
{{- $secret := lookup "v1" "Secret" .Release.Namespace (include "modelyard.minioName" .) -}}
{{- $there := $secret.data | default dict -}}
{{- $user := .Values.demo.minio.rootUser | default (get $there "MINIO_ROOT_USER" | b64dec) | default "demo-objects" -}}
{{- $password := .Values.demo.minio.rootPassword | default (get $there "MINIO_ROOT_PASSWORD" | b64dec) | default (randAlphaNum 32) -}}
{{- $mark := dig "metadata" "annotations" "modelyard.io/keys" "0" $secret -}}
{{- if and $there (or (ne $user (get $there "MINIO_ROOT_USER" | b64dec)) (ne $password (get $there "MINIO_ROOT_PASSWORD" | b64dec))) -}}
{{- $mark = atoi $mark | add1 | toString -}}
{{- else if not (or $there .Values.demo.minio.rootPassword) -}}
{{- $mark = randNumeric 8 | trimAll "0" | default "1" -}}
{{- end -}}
{{- $_ := set .Values.demo "drawnKeys" (dict "user" $user "password" $password "mark" $mark) -}}
{{- end -}}
{{- .Values.demo.drawnKeys | toJson -}}
{{- end -}}

{{/*
An annotation that changes with the keys, so that the pods that use them are replaced. It is a counter that is kept with the Secret, not a
hash: with the hash of a password, a user who may read pods could verify guesses. Without a cluster (helm template, Argo CD) it cannot count.
*/}}
{{- define "modelyard.minioKeysMark" -}}
{{- if not .Values.demo.minio.existingSecret -}}
modelyard.io/keys: {{ (include "modelyard.minioKeys" . | fromJson).mark | quote }}
{{- end -}}
{{- end -}}

{{/* MLflow rejects Host headers that are not in its list, with and without the port. */}}
{{- define "modelyard.mlflowHosts" -}}
{{- $name := include "modelyard.mlflowName" . -}}
{{- $service := printf "%s.%s" $name .Release.Namespace -}}
{{- $hosts := list $name $service (printf "%s.svc" $service) (printf "%s.svc.%s" $service .Values.clusterDomain) "localhost" "127.0.0.1" -}}
{{- $all := list -}}
{{- range $hosts -}}
{{- $all = concat $all (list . (printf "%s:%v" . $.Values.demo.mlflow.port)) -}}
{{- end -}}
{{- /* A port-forward may use any port of the user's machine. */ -}}
{{- $all = concat $all (list "localhost:*" "127.0.0.1:*") .Values.demo.mlflow.allowedHosts -}}
{{- $all | uniq | join "," -}}
{{- end -}}

{{- define "modelyard.mlflowImage" -}}
{{- $image := .Values.demo.mlflow.image -}}
{{- if $image.repository -}}
{{- include "modelyard.image" (dict "root" . "image" $image) -}}
{{- else -}}
{{- include "modelyard.image" (dict "root" . "image" .Values.runtime.image) -}}
{{- end -}}
{{- end -}}

{{/* MinIO's environment for MLflow, and for the container that creates its bucket. */}}
{{- define "modelyard.mlflowStoreEnv" -}}
{{- $secret := include "modelyard.minioSecret" . -}}
- name: MLFLOW_S3_ENDPOINT_URL
  value: {{ include "modelyard.minioUrl" . | quote }}
- name: MODELYARD_BUCKET
  value: {{ .Values.demo.minio.bucket | quote }}
- name: AWS_ACCESS_KEY_ID
  valueFrom:
    secretKeyRef: {name: {{ $secret | quote }}, key: MINIO_ROOT_USER}
- name: AWS_SECRET_ACCESS_KEY
  valueFrom:
    secretKeyRef: {name: {{ $secret | quote }}, key: MINIO_ROOT_PASSWORD}
- name: AWS_DEFAULT_REGION
  value: us-east-1
- name: HOME
  value: /tmp
- name: MLFLOW_DISABLE_TELEMETRY
  value: "true"
- name: PYTHONUNBUFFERED
  value: "1"
- name: PYTHONDONTWRITEBYTECODE
  value: "1"
{{- end -}}

{{/* MLflow's database: a file on its volume, or a database whose URI is in a Secret. */}}
{{- define "modelyard.mlflowDatabaseEnv" -}}
{{- $mlflow := .Values.demo.mlflow -}}
- name: MLFLOW_BACKEND_STORE_URI
  {{- if include "modelyard.mlflowSqlite" . }}
  value: sqlite:////var/lib/mlflow/mlflow.db
  {{- else }}
  valueFrom:
    secretKeyRef:
      name: {{ $mlflow.backendStoreSecret.name | default (include "modelyard.mlflowName" .) | quote }}
      key: {{ ternary "uri" $mlflow.backendStoreSecret.key (empty $mlflow.backendStoreSecret.name) | quote }}
  {{- end }}
{{- end -}}

{{- define "modelyard.mlflowSqlite" -}}
{{- if not (or .Values.demo.mlflow.backendStoreUri .Values.demo.mlflow.backendStoreSecret.name) -}}true{{- end -}}
{{- end -}}

{{/* Whether anything is purged. In the demo only if the database outlives the pod, and is not that of another MLflow image. */}}
{{- define "modelyard.purges" -}}
{{- if .Values.demo.enabled -}}
{{- $mlflow := .Values.demo.mlflow -}}
{{- if and .Values.demo.purge (not $mlflow.image.repository) (or $mlflow.persistence.enabled (not (include "modelyard.mlflowSqlite" .))) -}}true{{- end -}}
{{- else if .Values.purge.enabled -}}true
{{- end -}}
{{- end -}}
