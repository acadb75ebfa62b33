{{/*
Egress to DNS and to some TCP ports, but not to link-local and other addresses where clouds serve a node's credentials (a DNS server may have
such an address). Peers are pods as well as addresses, because some network plugins do not match pods by an ipBlock.
Takes (dict "root" $ "ports" (list 443) "open" (list 6443)); "open" are ports of any address.
*/}}
{{- define "modelyard.egress" -}}
- ports:
  {{- range .root.Values.networkPolicy.dnsPorts }}
  - {protocol: UDP, port: {{ . }}}
  - {protocol: TCP, port: {{ . }}}
  {{- end }}
{{- with .open | default list | uniq }}
- ports:
  {{- range . }}
  - {protocol: TCP, port: {{ . }}}
  {{- end }}
{{- end }}
{{- with .ports | default list | uniq }}
- ports:
  {{- range . }}
  - {protocol: TCP, port: {{ . }}}
  {{- end }}
  to:
  - ipBlock: {cidr: 0.0.0.0/0, except: [169.254.0.0/16, 100.100.100.200/32, 168.63.129.16/32, 192.0.0.192/32]}
  - ipBlock: {cidr: "::/0", except: ["fe80::/10", "fd00:ec2::254/128", "fd20:ce::254/128"]}
  - namespaceSelector: {}
{{- end }}
{{- end -}}

{{/* Egress to the model servers of a namespace, but not to the pods of gates, which have a stage's label too. */}}
{{- define "modelyard.toServing" -}}
- ports:
  - {protocol: TCP, port: 8080}
  to:
  - podSelector:
      matchExpressions:
      - {key: modelyard.io/stage, operator: Exists}
      - {key: modelyard.io/gate, operator: DoesNotExist}
{{- end -}}

{{/* Peers that may send requests to a serving pod: its namespace, the operator, and further ones. Takes (dict "root" $ "peers" list). */}}
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

{{/* The port of the sink of CloudEvents, as a JSON array; empty without one. */}}
{{- define "modelyard.sinkPorts" -}}
{{- $ports := list -}}
{{- with .Values.events.sink -}}
{{- $url := urlParse . -}}
{{- $port := regexFind ":[0-9]+$" $url.host | trimPrefix ":" -}}
{{- $ports = append $ports (int ($port | default (ternary "443" "80" (eq $url.scheme "https")))) -}}
{{- end -}}
{{- $ports | toJson -}}
{{- end -}}
