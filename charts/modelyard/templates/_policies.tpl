{{/*
Users that act for nobody: a namespace that is being deleted takes its objects with it, and the garbage collector ends what somebody
else decided. Asked for a person's right they would be stuck for ever.
*/}}
{{- define "modelyard.notACollector" -}}
!(request.userInfo.username in ['system:serviceaccount:kube-system:namespace-controller', 'system:serviceaccount:kube-system:generic-garbage-collector'])
{{- end -}}
