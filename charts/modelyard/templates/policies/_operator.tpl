{{/* The operator's own account: what only it may write, and what it may not write. */}}
{{- define "modelyard.policies.status" -}}
# The status is the record of what was promoted, so only the operator writes it, also for kinds of later releases.
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
    + object.metadata.name + ': only the operator writes the status, which records what it observed and promoted. Change the spec instead'
  message: "only the operator writes the status: change the spec instead"
  reason: Forbidden
{{- end -}}

{{- define "modelyard.policies.operator-fence" -}}
# Limits of the operator's own account, in case it is compromised or passes on a user's pod template. Without watchNamespaces its RBAC rights
# allow Jobs and Deployments in every namespace, and a pod with the right service account is cluster-admin.
failurePolicy: Fail
matchConstraints:
  resourceRules:
  # Pods: only UPDATE. RBAC does not allow the operator to create or delete pods, and matching CREATE would cost 0.2 ms for every pod of the cluster.
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
  message: "the operator may not write in the system's namespaces, and in its own namespace only its Lease"
  reason: Forbidden
# Approvals: the operator tests by a dry run whether one in another user's name is refused, and deletes those that no stage can use any longer.
- expression: >-
    !variables.ours || oldObject != null && object != null && variables.after.?spec == variables.before.?spec
    || request.resource.resource == 'modelapprovals'
    && (request.operation == 'DELETE' || request.operation == 'CREATE' && request.?dryRun.orValue(false))
  message: "the operator may change metadata and status of modelyard's objects, never a spec; it may create none, and delete only approvals"
  reason: Forbidden
# The annotation by which a pod splits its requests. With the right to patch pods the operator could change their images, or let other pods
# serve a stage.
- expression: >-
    !variables.pod || variables.after.spec == variables.before.spec
    && ['labels', 'ownerReferences', 'finalizers'].all(f, variables.after.metadata[?f] == variables.before.metadata[?f])
    && variables.notes.all(n, n.all(k, k == 'modelyard.io/traffic' || variables.notes.all(m, m[?k] == optional.of(n[k]))))
    && 'modelyard.io/stage' in variables.before.metadata.?labels.orValue({})
  message: "the operator may change only the annotation modelyard.io/traffic of pods, and only of pods that serve a stage"
  reason: Forbidden
# Before and after the change, so that the operator cannot adopt or delete an object of another owner.
- expression: >-
    variables.ours || variables.pod || variables.both.all(o, o.metadata.?ownerReferences.orValue([]).exists(r, r.?controller.orValue(false)
    && r.apiVersion.startsWith('modelyard.io/')))
  message: "the operator may create, change and delete only objects whose controller is one of modelyard's kinds, before and after the change"
  reason: Forbidden
- expression: >-
    !variables.template.hasValue() || variables.spec.?automountServiceAccountToken.orValue(true) == false
    && variables.spec.?serviceAccountName.orValue('default') in ['', 'default'] && variables.spec.?serviceAccount.orValue('default') in ['', 'default']
    && !variables.spec.?nodeName.hasValue()
  message: "the operator's pods must have no service account token, no service account and no nodeName"
  reason: Forbidden
- expression: >-
    !['hostNetwork', 'hostPID', 'hostIPC'].exists(f, variables.spec[?f].orValue(false))
    && variables.volumes.all(v, v.all(k, k in ['name', 'emptyDir', 'configMap', 'downwardAPI', 'persistentVolumeClaim', 'ephemeral', 'secret', 'projected']))
    && variables.volumes.all(v, v.?projected.?sources.orValue([]).all(s, s.all(k, k in ['configMap', 'downwardAPI', 'secret'])))
  message: "the operator's pods must use no namespace, path or device of the node, and no projected volume with a service account token"
  reason: Forbidden
- expression: >-
    !variables.template.hasValue() || variables.spec.?securityContext.?runAsNonRoot.orValue(false)
    && variables.spec.?securityContext.?seccompProfile.?type.orValue('') in ['RuntimeDefault', 'Localhost']
    && variables.containers.all(c, c.?securityContext.?privileged.orValue(false) == false && c.?securityContext.?allowPrivilegeEscalation.orValue(true) == false
    && c.?securityContext.?capabilities.?drop.orValue([]).exists(d, d == 'ALL') && !c.?securityContext.?capabilities.?add.hasValue()
    && c.?securityContext.?runAsNonRoot.orValue(true) && c.?securityContext.?procMount.orValue('Default') == 'Default'
    && c.?securityContext.?seccompProfile.?type.orValue('RuntimeDefault') in ['RuntimeDefault', 'Localhost']
    && c.?ports.orValue([]).all(p, p.?hostPort.orValue(0) == 0))
  message: "the operator's pods must meet Pod Security's level restricted"
  reason: Forbidden
# Stricter than the level restricted: no other profiles, no sysctls, no user 0, and no probes of other hosts.
- expression: >-
    ([variables.spec] + variables.containers).all(o, ['seLinuxOptions', 'appArmorProfile', 'windowsOptions', 'sysctls']
    .all(f, !o.?securityContext[?f].hasValue()) && o.?securityContext.?runAsUser.orValue(1) != 0)
    && !variables.after.?spec.?template.?metadata.?annotations.orValue({}).exists(a, a.startsWith('container.apparmor.security.beta.kubernetes.io/'))
    && variables.containers.all(c, [c.?livenessProbe, c.?readinessProbe, c.?startupProbe, c.?lifecycle.?postStart, c.?lifecycle.?preStop]
    .all(p, p.?httpGet.?host.orValue('') == '' && p.?tcpSocket.?host.orValue('') == ''))
  message: "the operator's pods must meet Pod Security's level restricted, with no other profile, sysctl, user 0 or probe of another host"
  reason: Forbidden
- expression: "!variables.spec.?resourceClaims.hasValue() && !variables.spec.?priorityClassName.hasValue() && !variables.spec.?runtimeClassName.hasValue()"
  message: "the operator's pods must have no resource claims, no priority class and no runtime class"
  reason: Forbidden
- expression: >-
    variables.containers.all(c, c.?envFrom.orValue([]).all(e, e.?secretRef.?name.orValue('modelyard-connection').startsWith('modelyard-connection'))
    && c.?env.orValue([]).all(e, e.?valueFrom.?secretKeyRef.?name.orValue('modelyard-connection').startsWith('modelyard-connection')))
    && variables.volumes.all(v, ['modelyard-connection', 'modelyard-signing'].exists(n, v.?secret.?secretName.orValue(n).startsWith(n))
    && v.?projected.?sources.orValue([]).all(s, s.?secret.?name.orValue('modelyard-connection').startsWith('modelyard-connection')))
  message: "the operator's pods may read only the Secrets modelyard-connection* and, as a volume, modelyard-signing*"
  reason: Forbidden
- expression: >-
    request.resource.resource != 'services' || object == null || variables.after.spec.?type.orValue('ClusterIP') == 'ClusterIP'
    && variables.after.spec.?externalIPs.orValue([]).size() == 0 && 'modelyard.io/uid' in variables.after.spec.?selector.orValue({})
  message: "the operator's Services must be of type ClusterIP, have no externalIPs, and select by modelyard.io/uid"
  reason: Forbidden
{{- end -}}
