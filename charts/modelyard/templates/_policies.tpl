{{/*
Users that act for nobody: a namespace that is being deleted takes its objects with it, and the garbage collector ends what somebody
else decided. Asked for a person's right they would be stuck for ever. (The last one is what both are called where the controller manager
does not use an account for each of its controllers.)
*/}}
{{- define "modelyard.notACollector" -}}
!(request.userInfo.username in ['system:serviceaccount:kube-system:namespace-controller', 'system:serviceaccount:kube-system:generic-garbage-collector', 'system:kube-controller-manager'])
{{- end -}}
