package sandbox

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/hashicorp/go-hclog"
	"github.com/landlock-lsm/go-landlock/landlock"
	llsyscall "github.com/landlock-lsm/go-landlock/landlock/syscall"
)

// Rights are what a process keeps beside what the package comment names. The zero value keeps nothing else.
type Rights struct {
	Read    []string // files, and folders with all below them; what does not exist is left out
	Write   []string // the same, to read, change, make and remove
	Connect []uint16 // TCP ports of any machine
	Listen  []uint16 // TCP ports of this one
}

// What many plugins read.
var (
	// Certificates are where Go looks for the authorities it trusts.
	Certificates = []string{"/etc/ssl", "/etc/pki", "/etc/ca-certificates", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates", "/usr/local/share/certs"}
	// Names are what looking up a name reads.
	Names = []string{"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/services", "/run/systemd/resolve"}
)

// zones are read by package time whenever somebody names one.
var zones = []string{"/usr/share/zoneinfo", "/etc/localtime", "/etc/zoneinfo"}

// Level is how much the kernel can do: its Landlock ABI, 0 for none.
type Level int

// The levels at which something new can be held.
const (
	Files   Level = 1
	Ports   Level = 4
	Signals Level = 6
)

// Restrict takes everything but the rights away from this process, all its threads and all its children. The error
// means that a kernel which could do it did not: the plugin should not go on.
func Restrict(log hclog.Logger, r Rights) (Level, error) {
	if log == nil {
		log = hclog.NewNullLogger()
	}
	abi, err := llsyscall.LandlockGetABIVersion()
	if err != nil || abi < int(Files) {
		log.Warn("this system has no Landlock: the plugin keeps all its rights")
		return 0, nil
	}
	level := Level(abi)
	if level < Ports {
		log.Warn("this kernel can't hold network connections: the plugin keeps those rights", "landlock", abi)
	}
	rules := []landlock.Rule{landlock.RWFiles("/dev/null").IgnoreIfMissing()}
	for _, p := range append(append([]string{}, zones...), r.Read...) {
		rules = append(rules, rule(p, landlock.RODirs, landlock.ROFiles))
	}
	for _, p := range append(kept(), r.Write...) {
		rules = append(rules, rule(p, landlock.RWDirs, landlock.RWFiles))
	}
	for _, p := range r.Connect {
		rules = append(rules, landlock.ConnectTCP(p))
	}
	for _, p := range r.Listen {
		rules = append(rules, landlock.BindTCP(p))
	}
	if err := landlock.V6.BestEffort().Restrict(rules...); err != nil {
		return 0, fmt.Errorf("give up rights: %w", err)
	}
	log.Info("rights given up", "landlock", abi, "read", len(r.Read), "write", len(r.Write), "connect", len(r.Connect), "listen", len(r.Listen))
	return level, nil
}

// rule is the one for a folder or the one for a file, which the kernel tells apart.
func rule(path string, dirs, files func(...string) landlock.FSRule) landlock.Rule {
	if fi, err := os.Stat(path); err == nil && !fi.IsDir() {
		return files(path).IgnoreIfMissing()
	}
	return dirs(path).IgnoreIfMissing()
}

// kept are the folders that the process needs to go on with what it has: of the sockets, and of files open for writing.
func kept() []string {
	var out []string
	for _, name := range []string{"PLUGIN_UNIX_SOCKET_DIR"} {
		if dir := os.Getenv(name); dir != "" {
			out = append(out, dir)
		}
	}
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return out
	}
	for _, fd := range fds {
		if n, err := strconv.Atoi(fd.Name()); err != nil || n < 3 {
			continue
		}
		path, err := os.Readlink(filepath.Join("/proc/self/fd", fd.Name()))
		if err != nil || !filepath.IsAbs(path) {
			continue
		}
		if fi, err := os.Stat(path); err == nil && fi.Mode().IsRegular() && writable(fd.Name()) {
			out = append(out, filepath.Dir(path))
		}
	}
	return out
}

// writable reports whether a descriptor was opened for writing.
func writable(fd string) bool {
	b, err := os.ReadFile(filepath.Join("/proc/self/fdinfo", fd))
	if err != nil {
		return false
	}
	var pos, flags uint64
	if _, err := fmt.Sscanf(string(b), "pos:\t%d\nflags:\t%o", &pos, &flags); err != nil {
		return false
	}
	return flags&3 != 0 // O_WRONLY or O_RDWR
}
