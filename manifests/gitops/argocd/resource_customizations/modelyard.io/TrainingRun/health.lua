-- The health that Argo CD shows for an object of modelyard.io; the same for every kind. docs/conditions.md explains the conditions.
local function is(status, message)
  return { status = status, message = message }
end

local function reported(condition)
  if condition.message == nil or condition.message == "" then
    return condition.reason
  end
  return condition.reason .. ": " .. condition.message
end

if obj.status == nil or obj.status.conditions == nil then
  return is("Progressing", "modelyard has not observed this object yet.")
end

-- Conditions of an earlier spec do not apply to this one.
local generation, observed = obj.metadata.generation, obj.status.observedGeneration
if generation ~= nil and (observed == nil or observed < generation) then
  return is("Progressing", "modelyard has not observed this spec yet.")
end

local found = {}
for _, condition in ipairs(obj.status.conditions) do
  if condition.status == "True" then
    found[condition.type] = condition
  end
end

if found.Stalled ~= nil then
  return is("Degraded", reported(found.Stalled))
end
if found.Reconciling ~= nil then
  -- A promotion that waits for a gate, another stage or users is not progressing. The stable version is still serving.
  local waits = { GatesPending = true, WaitingForStage = true, ApprovalWanted = true, Frozen = true, Planned = true, RolloutPaused = true }
  if waits[found.Reconciling.reason] then
    return is("Suspended", reported(found.Reconciling))
  end
  if found.Reconciling.reason == "Suspended" and obj.spec.suspend == true then
    return is("Suspended", reported(found.Reconciling))
  end
  return is("Progressing", reported(found.Reconciling))
end
if found.Ready ~= nil then
  return is("Healthy", reported(found.Ready))
end
return is("Progressing", "modelyard has not finished yet.")
