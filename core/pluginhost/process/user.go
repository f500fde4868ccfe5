package process

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"github.com/sigra-auth/sigra/core/config"
)

// identity is who a plugin's process runs as; nil means whoever Sigra runs as.
type identity struct{ uid, gid uint32 }

// CheckUser says whether this machine can run a plugin as its block wants.
func CheckUser(b config.Plugin) error {
	_, err := lookUser(b)
	return err
}

// Own gives a file to whoever the block's plugin runs as.
func Own(b config.Plugin, path string) error {
	as, err := lookUser(b)
	if err != nil {
		return err
	}
	return as.own(path)
}

// lookUser resolves a block's user. Supplementary groups are never given: a plugin is to own nothing.
func lookUser(b config.Plugin) (*identity, error) {
	if b.User == "" {
		return nil, nil
	}
	u, err := user.Lookup(b.User)
	if err != nil {
		if u, err = user.LookupId(b.User); err != nil {
			return nil, fmt.Errorf("this machine has no user %q", b.User)
		}
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("user %q has no number", b.User)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("user %q has no group", b.User)
	}
	if int(uid) != os.Geteuid() && os.Geteuid() != 0 {
		return nil, errors.New("only root can start a process as somebody else: run Sigra as root, or leave user out")
	}
	return &identity{uint32(uid), uint32(gid)}, nil
}

// credential is what the kernel is told.
func (i *identity) credential() *syscall.Credential {
	if i == nil {
		return nil
	}
	return &syscall.Credential{Uid: i.uid, Gid: i.gid, NoSetGroups: os.Geteuid() != 0}
}

// group is the group that may use the sockets of the host beside the host itself.
func (i *identity) group() string {
	if i == nil {
		return ""
	}
	return strconv.FormatUint(uint64(i.gid), 10)
}

// own gives a file or folder to the plugin's user.
func (i *identity) own(path string) error {
	if i == nil {
		return nil
	}
	return os.Chown(path, int(i.uid), int(i.gid))
}
