{{/* The operator's settings, as operator/modelyard/settings.py reads them. */}}
{{- define "modelyard.operatorEnv" -}}
- name: MODELYARD_NAMESPACES
  value: {{ (include "modelyard.watched" . | fromJson).items | join "," | quote }}
- name: MODELYARD_OPERATOR_NAMESPACE
  valueFrom:
    fieldRef: {fieldPath: metadata.namespace}
- name: MODELYARD_RUNTIME_IMAGE
  value: {{ include "modelyard.image" (dict "root" . "image" .Values.runtime.image) | quote }}
- name: MODELYARD_IMAGE_PULL_POLICY
  value: {{ .Values.runtime.image.pullPolicy | quote }}
{{- with .Values.imagePullSecrets }}
{{- $names := list }}
{{- range . }}{{ $names = append $names .name }}{{ end }}
- name: MODELYARD_IMAGE_PULL_SECRETS
  value: {{ $names | join "," | quote }}
{{- end }}
- name: MODELYARD_LEASE_NAME
  value: {{ include "modelyard.fullname" . | quote }}
- name: MODELYARD_POLICIES
  value: {{ include "modelyard.policies.expected" . | quote }}
- name: MODELYARD_WORKERS
  value: {{ .Values.reconcile.workers | quote }}
- name: MODELYARD_RESYNC
  value: {{ .Values.reconcile.resyncSeconds | quote }}
- name: MODELYARD_RESYNCS_PER_SECOND
  value: {{ .Values.reconcile.resyncsPerSecond | quote }}
- name: MODELYARD_CONNECTIONS_ALLOW
  value: {{ .Values.connections.allow | join "," | quote }}
- name: MODELYARD_CONNECTIONS_DENY
  value: {{ .Values.connections.deny | join "," | quote }}
- name: MODELYARD_CONNECTIONS_ONLY
  value: {{ .Values.connections.only | join "," | quote }}
{{- with .Values.events.sink }}
- name: MODELYARD_EVENTS_SINK
  value: {{ . | quote }}
{{- if $.Values.events.tokenSecret.name }}
- name: MODELYARD_EVENTS_TOKEN_FILE
  value: /etc/modelyard/events/token
{{- end }}
{{- end }}
- name: MODELYARD_LISTEN_HEALTH
  value: "8081"
- name: MODELYARD_LISTEN_METRICS
  value: "8080"
- name: MODELYARD_LOG_FORMAT
  value: {{ .Values.log.format | quote }}
- name: MODELYARD_LOG_LEVEL
  value: {{ .Values.log.level | upper | quote }}
- name: HOME
  value: /tmp
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}
