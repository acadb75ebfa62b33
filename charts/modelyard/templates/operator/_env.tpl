{{/* The operator's settings: each value of the chart is one variable, and no other code reads them. */}}
{{- define "modelyard.operatorEnv" -}}
- name: MODELYARD_OPERATOR_NAMESPACE
  valueFrom:
    fieldRef: {fieldPath: metadata.namespace}
- name: MODELYARD_POD_NAME
  valueFrom:
    fieldRef: {fieldPath: metadata.name}
- name: MODELYARD_RUNTIME_IMAGE
  value: {{ include "modelyard.image" (dict "root" . "image" .Values.runtime.image) | quote }}
- name: MODELYARD_NAMESPACES
  value: {{ (include "modelyard.watched" . | fromJson).items | join "," | quote }}
- name: MODELYARD_LOG_FORMAT
  value: {{ .Values.log.format | quote }}
- name: MODELYARD_LOG_LEVEL
  value: {{ .Values.log.level | quote }}
- name: HOME
  value: /tmp
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}
