package telemetry

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
)

// LogConfig is how the process logs. The zero value is info as text to standard error.
type LogConfig struct {
	Level  string    // trace, debug, info, warn, error
	Format string    // text, json
	Output io.Writer // nil: standard error
}

// NewLogger makes the process's logger. Its level may be changed later with SetLevel, also for loggers derived from it.
func NewLogger(cfg LogConfig) (hclog.Logger, error) {
	level := hclog.Info
	switch cfg.Level {
	case "":
	case "trace", "debug", "info", "warn", "error":
		level = hclog.LevelFromString(cfg.Level)
	default:
		return nil, fmt.Errorf("log level %q: it must be one of trace, debug, info, warn, error", cfg.Level)
	}
	if cfg.Format != "" && cfg.Format != "text" && cfg.Format != "json" {
		return nil, fmt.Errorf("log format %q: it must be text or json", cfg.Format)
	}
	if cfg.Output == nil {
		cfg.Output = os.Stderr
	}
	return hclog.New(&hclog.LoggerOptions{
		Name:       "sigra",
		Level:      level,
		Output:     lines{cfg.Output},
		JSONFormat: cfg.Format == "json",
		TimeFormat: "2006-01-02T15:04:05.000000Z07:00",
		TimeFn:     func() time.Time { return time.Now().UTC() },
	}), nil
}

// redactEmail empties what looks like an email address; ids never do.
func redactEmail(s string) string {
	if strings.Contains(s, "@") {
		return "[redacted]"
	}
	return s
}
