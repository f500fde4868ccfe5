package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/go-hclog"

	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/core/pluginhost/process"
	"github.com/sigra-auth/sigra/core/store"
	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
)

// storages makes room for the data of plugins, and takes it away.
type storages struct {
	cfg *Config
	log hclog.Logger
}

// of makes room for a plugin's data and says where it is: the database its block names, else a schema of its own
// in the core's Postgres, else a SQLite file of its own.
func (s storages) of(ctx context.Context, b config.Plugin) (*pluginv1.Storage, error) {
	if u := b.DatabaseURL.Reveal(); u != "" {
		switch {
		case strings.HasPrefix(u, "postgres://"), strings.HasPrefix(u, "postgresql://"):
			return s.ownDatabase(ctx, b.Name, u)
		case strings.HasPrefix(u, "sqlite://"):
			p, err := url.Parse(u)
			if err != nil || p.Path == "" || p.Host != "" {
				return nil, errors.New("the block's database url has no absolute path")
			}
			return sqliteStorage(p.Path, b)
		}
		return nil, errors.New("the block's database url must begin with postgres:// or sqlite:///")
	}
	if s.cfg.DB.Dialect() == store.Postgres {
		if s.cfg.DatabaseURL == "" {
			return nil, errors.New("the core's database address is not known")
		}
		return s.ownSchema(ctx, b.Name)
	}
	if b.User != "" {
		return nil, fmt.Errorf("user %q can't enter data_dir: give the plugin a database of its own, database { url = \"sqlite:///…\" }, in a folder of that user's", b.User)
	}
	return sqliteStorage(s.sqlitePath(b.Name), b)
}

func (s storages) sqlitePath(name string) string {
	dir, err := filepath.Abs(s.cfg.DataDir)
	if err != nil {
		dir = s.cfg.DataDir
	}
	return filepath.Join(dir, "plugins", name+".db")
}

func sqliteStorage(path string, b config.Plugin) (*pluginv1.Storage, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(process.Own(b, path), f.Close()); err != nil {
		return nil, err
	}
	return &pluginv1.Storage{Dialect: "sqlite", Dsn: path}, nil
}
