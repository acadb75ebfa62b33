"""Pod Security's profile `restricted`, as its documentation states it, over a pod's spec."""

from __future__ import annotations

from typing import Any

VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
HOST = ("hostNetwork", "hostPID", "hostIPC")
SECCOMP = {"RuntimeDefault", "Localhost"}


def violations(pod: dict[str, Any]) -> list[str]:
    """Return what the profile would refuse, in words."""
    found = [f"{field} is set" for field in HOST if pod.get(field)]
    for volume in pod.get("volumes", []):
        found += [
            f"the volume {volume['name']} is a {kind}"
            for kind in volume
            if kind != "name" and kind not in VOLUMES
        ]
    inherited = pod.get("securityContext", {})
    if inherited.get("sysctls"):
        found.append("sysctls are set")
    for container in [
        *pod.get("initContainers", []),
        *pod["containers"],
        *pod.get("ephemeralContainers", []),
    ]:
        found += [
            f"{container['name']}: {what}"
            for what in _of_container(container, container.get("securityContext", {}), inherited)
        ]
    return found


def _of_container(
    container: dict[str, Any], own: dict[str, Any], inherited: dict[str, Any]
) -> list[str]:
    def effective(field: str) -> Any:
        return own.get(field, inherited.get(field))

    capabilities = own.get("capabilities", {})
    rules = {
        "is privileged": not own.get("privileged"),
        "may gain privileges": own.get("allowPrivilegeEscalation") is False,
        "may be root": effective("runAsNonRoot") is True,
        "is root": effective("runAsUser") != 0,
        "keeps capabilities": capabilities.get("drop") == ["ALL"],
        "adds capabilities": set(capabilities.get("add", [])) <= {"NET_BIND_SERVICE"},
        "has no seccomp profile": (effective("seccompProfile") or {}).get("type") in SECCOMP,
        "sees all of /proc": own.get("procMount", "Default") == "Default",
        "takes a port of the host": not any(
            port.get("hostPort") for port in container.get("ports", [])
        ),
    }
    return [what for what, holds in rules.items() if not holds]
