// Command runc stands before the real runc on a machine that lacks capabilities which a privileged container asks for: it takes
// them, and a lowered OOM score that only CAP_SYS_RESOURCE may set, out of the bundle and then becomes runc. On a machine that lacks
// nothing it changes nothing. It knows no option of runc but the two that name a file to read.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

const sysResource = "CAP_SYS_RESOURCE"

// By bit number, as in linux/capability.h.
var names = strings.Fields(`CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE
NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE
SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM
BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE`)

func missing() (map[string]bool, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return nil, err
	}
	for _, line := range strings.Split(string(status), "\n") {
		if hex, ok := strings.CutPrefix(line, "CapBnd:"); ok {
			set, err := strconv.ParseUint(strings.TrimSpace(hex), 16, 64)
			if err != nil {
				return nil, err
			}
			out := map[string]bool{}
			for bit, name := range names {
				if set&(1<<bit) == 0 {
					out["CAP_"+name] = true
				}
			}
			return out, nil
		}
	}
	return nil, fmt.Errorf("/proc/self/status has no CapBnd")
}

func strip(process map[string]any, without map[string]bool) {
	sets, _ := process["capabilities"].(map[string]any)
	for kind, value := range sets {
		list, _ := value.([]any)
		kept := []any{}
		for _, capability := range list {
			if name, _ := capability.(string); !without[name] {
				kept = append(kept, capability)
			}
		}
		sets[kind] = kept
	}
	if score, ok := process["oomScoreAdj"].(json.Number); ok && strings.HasPrefix(score.String(), "-") && without[sysResource] {
		delete(process, "oomScoreAdj")
	}
}

func rewrite(path string, bundle bool, without map[string]bool) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var spec map[string]any
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber() // a limit of 2^64-1 does not survive a float
	if err := decoder.Decode(&spec); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	process := spec
	if bundle {
		process, _ = spec["process"].(map[string]any)
	}
	if process == nil {
		return nil
	}
	strip(process, without)
	if raw, err = json.Marshal(spec); err != nil {
		return err
	}
	return os.WriteFile(path, raw, 0o600)
}

func option(args []string, long, short string) string {
	for i, arg := range args {
		if (arg == "--"+long || arg == "-"+short) && i+1 < len(args) {
			return args[i+1]
		}
		if value, ok := strings.CutPrefix(arg, "--"+long+"="); ok {
			return value
		}
	}
	return ""
}

func run() error {
	without, err := missing()
	if err != nil {
		return err
	}
	if len(without) > 0 {
		if dir := option(os.Args, "bundle", "b"); dir != "" {
			if err := rewrite(filepath.Join(dir, "config.json"), true, without); err != nil {
				return err
			}
		}
		if file := option(os.Args, "process", "p"); file != "" {
			if err := rewrite(file, false, without); err != nil {
				return err
			}
		}
	}
	for _, path := range []string{"/usr/sbin/runc", "/usr/bin/runc", "/usr/local/sbin/runc", "/usr/local/bin/runc"} {
		if _, err := os.Stat(path); err == nil {
			return syscall.Exec(path, append([]string{"runc"}, os.Args[1:]...), os.Environ())
		}
	}
	return fmt.Errorf("no runc on this machine")
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "modelyard's runc:", err)
		os.Exit(1)
	}
}
