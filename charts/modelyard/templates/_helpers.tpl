{{/* The base of every name: the release's name, followed by the chart's unless it contains that. */}}
{{- define "modelyard.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Labels for selectors, which never change. Takes (dict "root" $ "component" "operator"). */}}
{{- define "modelyard.selector" -}}
app.kubernetes.io/name: modelyard
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* All labels of an object. Takes the same. */}}
{{- define "modelyard.labels" -}}
{{ include "modelyard.selector" . }}
app.kubernetes.io/part-of: modelyard
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Labels of a pod, without those that change with the chart's version, because a change would replace the pod. Takes the same. */}}
{{- define "modelyard.podLabels" -}}
{{ include "modelyard.selector" . }}
app.kubernetes.io/part-of: modelyard
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* An image's full name; the default tag is the chart's appVersion. Takes (dict "root" $ "image" .Values.image). */}}
{{- define "modelyard.image" -}}
{{- if .image.digest -}}
{{- printf "%s@%s" .image.repository .image.digest -}}
{{- else -}}
{{- printf "%s:%s" .image.repository (.image.tag | default .root.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{- define "modelyard.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "modelyard.fullname" .) -}}
{{- else -}}
{{- required "serviceAccount.name: name an existing ServiceAccount, or set serviceAccount.create to true" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* The securityContext that Pod Security's level restricted requires of a pod. Takes the uid. */}}
{{- define "modelyard.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* The securityContext that it requires of a container, and a read-only root file system. */}}
{{- define "modelyard.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* Node placement and pull secrets, the same for every pod. */}}
{{- define "modelyard.placement" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- end -}}

{{/*
All tenants as JSON, {"items": [...]}, with their defaults: those in the values, and the demo's.
`remove`: the namespace is deleted with the release. `secret`: the chart creates the connection Secret.
*/}}
{{- define "modelyard.tenants" -}}
{{- include "modelyard.validate" . -}}
{{- $items := list -}}
{{- range .Values.tenants -}}
{{- $create := .createNamespace | default false -}}
{{- $keep := dig "keepNamespace" true . -}}
{{- $items = append $items (dict
      "namespace" .namespace
      "create" $create
      "remove" (and $create (not $keep))
      "labels" (.labels | default dict)
      "secret" (not .existingSecret)
      "mlflow" (.mlflow | default dict)
      "s3" (.s3 | default dict)
      "extraEgress" (.extraEgress | default list)) -}}
{{- end -}}
{{- if .Values.demo.enabled -}}
{{- $demo := .Values.demo -}}
{{- $keys := include "modelyard.minioKeys" . | fromJson -}}
{{- $items = append $items (dict
      "namespace" $demo.tenant.namespace
      "create" $demo.tenant.createNamespace
      "remove" $demo.tenant.createNamespace
      "labels" $demo.tenant.labels
      "secret" (not $demo.minio.existingSecret)
      "mlflow" (dict "uri" (include "modelyard.mlflowUrl" .))
      "s3" (dict "endpoint" (include "modelyard.minioUrl" .) "accessKey" $keys.user "secretKey" $keys.password "bucket" $demo.minio.bucket)
      "extraEgress" list) -}}
{{- end -}}
{{- dict "items" $items | toJson -}}
{{- end -}}

{{/* The namespaces that the operator watches, as JSON; an empty list means all. */}}
{{- define "modelyard.watched" -}}
{{- $names := .Values.watchNamespaces -}}
{{- if $names -}}
{{- range (include "modelyard.tenants" . | fromJson).items -}}
{{- $names = append $names .namespace -}}
{{- end -}}
{{- end -}}
{{- dict "items" ($names | uniq | sortAlpha) | toJson -}}
{{- end -}}

{{/* Annotations of objects that exist only while `helm uninstall` runs. Takes the order. */}}
{{- define "modelyard.uninstallHook" -}}
helm.sh/hook: pre-delete
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded,hook-failed
{{- end -}}
