package main

import (
	"bufio"
	"context"
	"crypto/sha1" //nolint:gosec // the index of Pwned Passwords
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	"golang.org/x/text/unicode/norm"

	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/core/credential/password/breach"
)

func (c *cli) breachCommand() *cobra.Command {
	return group("breach", "Passwords that were seen in data breaches", c.breachBuildCommand(), c.breachCheckCommand(), c.breachTestCommand())
}

// breachFile is a breach file as it is shown.
type breachFile struct {
	File     string    `json:"file"`
	Entries  int64     `json:"entries"`
	MinCount uint32    `json:"min_count"`
	Built    time.Time `json:"built_at"`
	Checksum string    `json:"sha256"` // of all behind the header
}

func shownBreachFile(path string, h breach.Header) breachFile {
	return breachFile{File: path, Entries: h.Entries, MinCount: h.MinCount, Built: h.Built, Checksum: fmt.Sprintf("%x", h.Checksum)}
}

func (f breachFile) facts(w io.Writer) {
	facts(w, "file", f.File, "passwords", strconv.FormatInt(f.Entries, 10), "seen at least", count(int64(f.MinCount), "time", "times"), "built", utc(f.Built), "sha256", f.Checksum)
}

func (c *cli) breachBuildCommand() *cobra.Command {
	var from, out string
	var minCount uint
	cmd := &cobra.Command{
		Use: "build", Short: "Make a breach file of a list of Pwned Passwords", Args: args(cobra.NoArgs),
		Long: "Make a breach file of a list of Pwned Passwords: lines SHA1:COUNT in the order of the hashes. The file can be put where one is in\n" +
			"use: a running Sigra takes it at the next password, and has the old one until the new one is whole.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if from == "" || out == "" {
				return exitError{2, errors.New("--from and --out are needed: the list to read (- is standard input), and the file to write")}
			}
			if minCount < 1 || minCount > math.MaxUint32 {
				return exitError{2, fmt.Errorf("--min-count must be from 1 to %d", math.MaxUint32)}
			}
			in := c.in
			if from != "-" {
				f, err := os.Open(from)
				if err != nil {
					return err
				}
				defer func() { _ = f.Close() }()
				in = f
			}
			p := c.progress("lines read")
			h, err := breach.Build(cmd.Context(), breach.BuildConfig{
				From: in, Out: out, MinCount: uint32(minCount), Progress: func(lines, _ int64) { p.add(int(lines) - p.n) },
			})
			p.end()
			if err != nil {
				return fmt.Errorf("%s: %w", from, err)
			}
			f := shownBreachFile(out, h)
			return c.show(f, f.facts)
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "the list, - for standard input")
	cmd.Flags().StringVar(&out, "out", "", "the breach file to write")
	cmd.Flags().UintVar(&minCount, "min-count", 1, "leave out passwords that were seen less often")
	return cmd
}

func (c *cli) breachCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use: "check FILE", Short: "Read a whole breach file and say whether it is undamaged", Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			p := c.progress("passwords read")
			h, err := breach.Check(cmd.Context(), a[0], func(n int64) { p.add(int(n) - p.n) })
			p.end()
			if err != nil {
				return err
			}
			f := shownBreachFile(a[0], h)
			return c.show(f, func(w io.Writer) {
				f.facts(w)
				_, _ = fmt.Fprintln(w, "Undamaged.")
			})
		},
	}
}

func (c *cli) breachTestCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "test", Short: "Ask whether a password was seen in a breach", Args: args(cobra.NoArgs),
		Long: "Read a password from standard input, which on a terminal does not show it, and ask whether it was seen in a breach, in the way that\n" +
			"the configuration says. The exit status is 0 when it was not, 1 when it was, and 3 when that can't be told.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, _, err := c.load()
			if err != nil {
				return err
			}
			check := cfg.Password.BreachCheck
			if file != "" {
				check = config.BreachCheck{Mode: config.BreachFile, File: file}
			}
			return c.testPassword(cmd.Context(), check)
		},
	}
	cmd.Flags().StringVar(&file, "file", "", "look into this breach file, whatever the configuration says")
	return cmd
}

func (c *cli) testPassword(ctx context.Context, check config.BreachCheck) error {
	list, err := openBreaches(check, nil)
	if err != nil {
		return err
	}
	if list == nil {
		return errors.New(`password.breach_check.mode is "off"; --file FILE looks into a file`)
	}
	defer list.Close()
	password, err := c.readPassword(ctx)
	if err != nil {
		return err
	}
	n, err := list.Count(ctx, sha1.Sum([]byte(norm.NFC.String(password))))
	if err != nil {
		return exitError{3, fmt.Errorf("it can't be told: %w", err)}
	}
	where := "in " + check.File
	if check.Mode == config.BreachAPI {
		where = "at " + check.URL
	}
	err = c.show(map[string]any{"breached": n > 0, "count": n, "mode": check.Mode}, func(w io.Writer) {
		switch {
		case n == 0:
			_, _ = fmt.Fprintf(w, "Not known %s.\n", where)
		case check.Mode == config.BreachFile: // which does not keep the number
			_, _ = fmt.Fprintf(w, "Known %s: seen in breaches at least %s. Sigra refuses it.\n", where, count(n, "time", "times"))
		default:
			_, _ = fmt.Fprintf(w, "Known %s: seen in breaches %s. Sigra refuses it.\n", where, count(n, "time", "times"))
		}
	})
	if err == nil && n > 0 {
		return exitError{status: 1}
	}
	return err
}

// askPassword asks on a terminal, which shows nothing of it.
func (c *cli) askPassword(ctx context.Context, terminal int) (string, error) {
	before, err := term.GetState(terminal)
	if err != nil {
		return "", err
	}
	_, _ = fmt.Fprint(c.err, "Password: ")
	var password []byte
	read := make(chan error, 1)
	go func() { // ends with the process at the latest: a terminal can't be told to stop reading
		var err error
		password, err = term.ReadPassword(terminal)
		read <- err
	}()
	select {
	case err = <-read:
	case <-ctx.Done(): // interrupted: the terminal must show what is typed again
		err = errors.Join(exitError{status: 130}, term.Restore(terminal, before))
	}
	_, _ = fmt.Fprintln(c.err)
	if err != nil {
		return "", err
	}
	return string(password), nil
}

// readPassword reads one line, without showing it where somebody types it.
func (c *cli) readPassword(ctx context.Context) (string, error) {
	if f, ok := c.in.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return c.askPassword(ctx, int(f.Fd()))
	}
	const most = 8 << 10 // the longest that any configuration takes is half of that
	line, err := bufio.NewReader(io.LimitReader(c.in, most)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
	if line == "" {
		return "", errors.New("there is no password on standard input")
	}
	return line, nil
}
