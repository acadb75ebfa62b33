{{/* Break-glass: an override puts a version into a stage without its gates. */}}
{{- define "modelyard.policies.override" -}}
# Setting, changing and removing the override of a stage needs the verb override on it; promote is not enough. The operator checks that it ends
# within a day, because admission has no clock.
failurePolicy: Fail
matchConstraints:
  resourceRules:
  - {apiGroups: [modelyard.io], apiVersions: [v1alpha1], operations: [CREATE, UPDATE], resources: [registeredmodels]}
variables:
- {name: model, expression: "object.metadata.name"}
- {name: new, expression: "dyn(object.spec).?stages.orValue({})"}
- {name: old, expression: "oldObject != null ? dyn(oldObject.spec).?stages.orValue({}) : dyn({})"}
# null and absent are equal.
- name: touched
  expression: >-
    variables.new.filter(s, variables.new[s].?override.orValue(null) != variables.old[?s].?override.orValue(null))
    + variables.old.filter(s, !(s in variables.new) && variables.old[s].?override.orValue(null) != null)
- name: right
  expression: "authorizer.group('modelyard.io').resource('registeredmodels').namespace(request.namespace).name(variables.model)"
{{- include "modelyard.policies.mayDo" "override" }}
validations:
- expression: "variables.touched.size() <= 16"
  message: "a request may change the override of at most 16 stages: split it"
- expression: >-
    {{ include "modelyard.policies.mayPromoteAll" . }}
  messageExpression: >-
    request.userInfo.username + ' may not change the override of ' + variables.touched.map(s, 'stage ' + s).join(', ') + ' of '
    + request.namespace + '/' + variables.model + ': it needs the verb override on '
    + {{ include "modelyard.policies.ofStages" "variables.touched" }} + ' in group modelyard.io'
  message: "this changes an override: it needs the verb override on registeredmodels/<stage> in group modelyard.io"
  reason: Forbidden
{{- end -}}
