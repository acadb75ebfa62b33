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
