{{/* The operator's own account: what it alone may write, and what it may not. */}}
{{- define "modelyard.policies.status" -}}
# The status is the record of what was promoted, so only the operator writes it: also of kinds that a later release brings.
failurePolicy: Fail
matchConstraints:
  resourceRules:
  - {apiGroups: [modelyard.io], apiVersions: [v1alpha1], operations: [UPDATE], resources: ["*/status"]}
matchConditions:
- {name: not-by-the-operator, expression: "request.userInfo.username != '{{ include "modelyard.policies.operator" . }}'"}
validations:
- expression: "false"
  messageExpression: >-
    request.userInfo.username + ' may not write the status of ' + request.resource.resource + ' ' + request.namespace + '/'
    + object.metadata.name + ': it is the record of what the operator observed and promoted, and the operator alone writes it. Change the spec'
  message: "the operator alone writes the status: change the spec"
  reason: Forbidden
{{- end -}}

{{- define "modelyard.policies.operator-fence" -}}
# Limits of the operator's own account, in case it is compromised or passes on a user's pod template. Without watchNamespaces its RBAC can
# create Jobs and Deployments in every namespace, and a pod with the right service account is cluster-admin.
failurePolicy: Fail
matchConstraints:
  resourceRules:
  # Pods: UPDATE only. RBAC lets the operator create or delete none, and matching CREATE would cost 0.2 ms for every pod of the cluster.
  - {apiGroups: [""], apiVersions: [v1], operations: [UPDATE], resources: [pods]}
  - {apiGroups: [""], apiVersions: [v1], operations: [CREATE, UPDATE, DELETE], resources: [configmaps, services]}
  - {apiGroups: [apps], apiVersions: [v1], operations: [CREATE, UPDATE, DELETE], resources: ["*"]}
  - {apiGroups: [batch], apiVersions: [v1], operations: [CREATE, UPDATE, DELETE], resources: ["*"]}
  - {apiGroups: [autoscaling], apiVersions: [v2], operations: [CREATE, UPDATE, DELETE], resources: ["*"]}
  - {apiGroups: [policy], apiVersions: [v1], operations: [CREATE, UPDATE, DELETE], resources: ["*"]}
  - {apiGroups: [modelyard.io], apiVersions: [v1alpha1], operations: [CREATE, UPDATE, DELETE], resources: ["*"]}
matchConditions:
- {name: by-the-operator, expression: "request.userInfo.username == '{{ include "modelyard.policies.operator" . }}'"}
variables:
- {name: after, expression: "object != null ? dyn(object) : dyn({})"}
- {name: before, expression: "oldObject != null ? dyn(oldObject) : dyn({})"}
- {name: ours, expression: "request.resource.group == 'modelyard.io'"}
- {name: pod, expression: "request.resource.resource == 'pods'"}
- {name: both, expression: "[variables.before, variables.after].filter(o, 'metadata' in o)"}
- {name: notes, expression: "variables.both.map(o, o.metadata.?annotations.orValue({}))"}
- {name: template, expression: "variables.after.?spec.?jobTemplate.?spec.orValue(variables.after.?spec.orValue({})).?template.?spec"}
- {name: spec, expression: "variables.template.orValue({})"}
- name: containers
  expression: "variables.spec.?containers.orValue([]) + variables.spec.?initContainers.orValue([]) + variables.spec.?ephemeralContainers.orValue([])"
- {name: volumes, expression: "variables.spec.?volumes.orValue([])"}
validations:
- expression: "!(request.namespace in ['kube-system', 'kube-public', 'kube-node-lease', '{{ .Release.Namespace }}'])"
  message: "the operator writes nothing in the system's namespaces, and in its own nothing but its Lease"
  reason: Forbidden
# Approvals: it tries whether one in another's name is refused, and deletes those that no stage can use any more.
- expression: >-
    !variables.ours || oldObject != null && object != null && variables.after.?spec == variables.before.?spec
    || request.resource.resource == 'modelapprovals'
    && (request.operation == 'DELETE' || request.operation == 'CREATE' && request.?dryRun.orValue(false))
  message: "the operator changes metadata and status of our kinds, never a spec; it creates none, and deletes none but approvals"
  reason: Forbidden
# How a pod splits its requests. With the right to patch pods the operator could change their images, or have others serve a stage.
- expression: >-
    !variables.pod || variables.after.spec == variables.before.spec
    && ['labels', 'ownerReferences', 'finalizers'].all(f, variables.after.metadata[?f] == variables.before.metadata[?f])
    && variables.notes.all(n, n.all(k, k == 'modelyard.io/traffic' || variables.notes.all(m, m[?k] == optional.of(n[k]))))
    && 'modelyard.io/stage' in variables.before.metadata.?labels.orValue({})
  message: "the operator changes the annotation modelyard.io/traffic of pods that serve a stage, and nothing else of pods"
  reason: Forbidden
# Before and after the change, so that it cannot take over or delete an object of another owner.
- expression: >-
    variables.ours || variables.pod || variables.both.all(o, o.metadata.?ownerReferences.orValue([]).exists(r, r.?controller.orValue(false)
    && r.apiVersion.startsWith('modelyard.io/')))
  message: "the operator creates, changes and deletes only what one of our kinds controls, before and after"
  reason: Forbidden
- expression: >-
    !variables.template.hasValue() || variables.spec.?automountServiceAccountToken.orValue(true) == false
    && variables.spec.?serviceAccountName.orValue('default') in ['', 'default'] && variables.spec.?serviceAccount.orValue('default') in ['', 'default']
    && !variables.spec.?nodeName.hasValue()
  message: "pods of the operator get no service account token and no service account, and are placed by the scheduler"
  reason: Forbidden
- expression: >-
    !['hostNetwork', 'hostPID', 'hostIPC'].exists(f, variables.spec[?f].orValue(false))
    && variables.volumes.all(v, v.all(k, k in ['name', 'emptyDir', 'configMap', 'downwardAPI', 'persistentVolumeClaim', 'ephemeral', 'secret', 'projected']))
    && variables.volumes.all(v, v.?projected.?sources.orValue([]).all(s, s.all(k, k in ['configMap', 'downwardAPI', 'secret'])))
  message: "pods of the operator use no namespace, path or device of the node, and no service account token by a projected volume"
  reason: Forbidden
- expression: >-
    !variables.template.hasValue() || variables.spec.?securityContext.?runAsNonRoot.orValue(false)
    && variables.spec.?securityContext.?seccompProfile.?type.orValue('') in ['RuntimeDefault', 'Localhost']
    && variables.containers.all(c, c.?securityContext.?privileged.orValue(false) == false && c.?securityContext.?allowPrivilegeEscalation.orValue(true) == false
    && c.?securityContext.?capabilities.?drop.orValue([]).exists(d, d == 'ALL') && !c.?securityContext.?capabilities.?add.hasValue()
    && c.?securityContext.?runAsNonRoot.orValue(true) && c.?securityContext.?procMount.orValue('Default') == 'Default'
    && c.?securityContext.?seccompProfile.?type.orValue('RuntimeDefault') in ['RuntimeDefault', 'Localhost']
    && c.?ports.orValue([]).all(p, p.?hostPort.orValue(0) == 0))
  message: "pods of the operator keep Pod Security's level restricted"
  reason: Forbidden
# What the level allows within limits, the operator's pods do without: other profiles and sysctls of the kernel, and probes of other hosts.
- expression: >-
    ([variables.spec] + variables.containers).all(o, ['seLinuxOptions', 'appArmorProfile', 'windowsOptions', 'sysctls']
    .all(f, !o.?securityContext[?f].hasValue()) && o.?securityContext.?runAsUser.orValue(1) != 0)
    && !variables.after.?spec.?template.?metadata.?annotations.orValue({}).exists(a, a.startsWith('container.apparmor.security.beta.kubernetes.io/'))
    && variables.containers.all(c, [c.?livenessProbe, c.?readinessProbe, c.?startupProbe, c.?lifecycle.?postStart, c.?lifecycle.?preStop]
    .all(p, p.?httpGet.?host.orValue('') == '' && p.?tcpSocket.?host.orValue('') == ''))
  message: "pods of the operator keep Pod Security's level restricted: no other profile, sysctl or user 0, and no probe of another host"
  reason: Forbidden
- expression: "!variables.spec.?resourceClaims.hasValue() && !variables.spec.?priorityClassName.hasValue() && !variables.spec.?runtimeClassName.hasValue()"
  message: "pods of the operator claim no device of the node, and have no priority and no runtime of their own"
  reason: Forbidden
- expression: >-
    variables.containers.all(c, c.?envFrom.orValue([]).all(e, e.?secretRef.?name.orValue('modelyard-connection').startsWith('modelyard-connection'))
    && c.?env.orValue([]).all(e, e.?valueFrom.?secretKeyRef.?name.orValue('modelyard-connection').startsWith('modelyard-connection')))
    && variables.volumes.all(v, ['modelyard-connection', 'modelyard-signing'].exists(n, v.?secret.?secretName.orValue(n).startsWith(n))
    && v.?projected.?sources.orValue([]).all(s, s.?secret.?name.orValue('modelyard-connection').startsWith('modelyard-connection')))
  message: "pods of the operator read no Secret but modelyard-connection* and, as a volume, modelyard-signing*"
  reason: Forbidden
- expression: >-
    request.resource.resource != 'services' || object == null || variables.after.spec.?type.orValue('ClusterIP') == 'ClusterIP'
    && variables.after.spec.?externalIPs.orValue([]).size() == 0 && 'modelyard.io/uid' in variables.after.spec.?selector.orValue({})
  message: "Services of the operator are of type ClusterIP, without externalIPs, and select by modelyard.io/uid"
  reason: Forbidden
{{- end -}}
