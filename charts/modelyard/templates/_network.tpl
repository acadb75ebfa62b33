{{/* Egress to DNS and to some TCP ports. Takes (dict "root" $ "ports" (list 443)). */}}
{{- define "modelyard.egress" -}}
- ports:
  {{- range .root.Values.networkPolicy.dnsPorts }}
  - {protocol: UDP, port: {{ . }}}
  - {protocol: TCP, port: {{ . }}}
  {{- end }}
{{- with .ports | uniq }}
- ports:
  {{- range . }}
  - {protocol: TCP, port: {{ . }}}
  {{- end }}
{{- end }}
{{- end -}}

{{/* Who may ask a serving pod: its namespace, the operator, and further peers. Takes (dict "root" $ "peers" list). */}}
{{- define "modelyard.servedPeers" -}}
- podSelector: {}
- namespaceSelector:
    matchLabels:
      kubernetes.io/metadata.name: {{ .root.Release.Namespace | quote }}
  podSelector:
    matchLabels:
      {{- include "modelyard.selector" (dict "root" .root "component" "operator") | nindent 6 }}
{{- with .peers }}
{{ toYaml . }}
{{- end }}
{{- end -}}
