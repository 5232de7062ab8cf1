// Package provision reaches the server of a bake over SSH or WinRM and runs the template's provisioners on it. It is
// the only SSH and WinRM client of tfbake.
//
// Connect waits until the server lets us in, or says at which stage it does not; Run executes the steps in order.
// Nothing here knows NAVER Cloud: an address, a user and a secret come in, an error or nothing goes out.
package provision

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"path/filepath"
	"time"

	"github.com/tfbake/tfbake/internal/config"
	"github.com/tfbake/tfbake/internal/redact"
	"github.com/tfbake/tfbake/internal/ui"
)

// Target is the server to reach. What the template's communicator sets (host, port, user, password, key file) wins
// over the same field here.
type Target struct {
	Host           string
	Port           int // 0: 22, 5985 or 5986, by communicator
	User, Password string
	PrivateKey     []byte // PEM; tried before the password

	// Dial opens TCP connections, to bastions and proxies too; nil: an ordinary net.Dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Pin remembers the server's host key within a run; nil: from the first connection on, in memory.
	Pin *HostKeyPin
	// Ask asks the person at the terminal (interactive bastions); nil: there is nobody.
	Ask func(ctx context.Context, question string, echo bool) (string, error)
	// Facts is what the caller knows about the way to the server; it makes a failure's advice concrete.
	Facts Facts
}

// Facts are used for advice only, never for connecting.
type Facts struct {
	ACGNo       string   // access control group in front of the server
	OwnACG      bool     // tfbake made it (and opened the port); otherwise the template named it
	SourceCIDRs []string // who may connect by that group, where known
	PrivateIP   bool     // Host is an address inside the VPC
	InitScript  bool     // the server runs user_data at first boot
}

// Log is told what Connect waits for. *ui.Story is one, a nil *ui.Story too.
type Log interface {
	Say(format string, args ...any)
	Info(format string, args ...any)
}

// Communicator runs commands and moves files on one server. All methods honour their context at once: a command that
// runs is killed. A Communicator reconnects by itself, once per call, when its connection was lost; callers that
// expect a reboot retry or call Reconnect. It is safe for concurrent use.
type Communicator interface {
	// Run runs a command line with the user's login shell (SSH) or cmd.exe (WinRM) and returns its exit code. The
	// error is ErrDisconnected (wrapped) when the connection broke before the command ended, and another one when
	// the command could not be started.
	Run(ctx context.Context, c Command) (exit int, err error)
	// Upload writes r to the file dst. size is the number of bytes, -1 when unknown; mode 0 leaves the server's default.
	Upload(ctx context.Context, dst string, r io.Reader, size int64, mode fs.FileMode) error
	// UploadDir copies the directory src below dst: its contents when src ends in a slash, else the directory itself. Over
	// SSH, where dst does not exist, the directory becomes dst, unless ssh_file_transfer_method is sftp.
	UploadDir(ctx context.Context, dst, src string) error
	// Download writes the server's file src to w.
	Download(ctx context.Context, src string, w io.Writer) error
	// DownloadDir copies the server's directory src, or the files a pattern matches, below dst; trailing slash as in
	// UploadDir.
	DownloadDir(ctx context.Context, src, dst string) error
	// Reconnect drops the connection and waits, within the communicator's timeout, until the server lets us in again.
	Reconnect(ctx context.Context) error
	Close() error
}

// Command is one command line with its streams; nil streams are empty or discarded.
type Command struct {
	Line           string
	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// errConnection is wrapped by all methods of a Communicator when there was no connection, or it broke: the same call may
// work later. A command that had started is ErrDisconnected instead.
var errConnection = errors.New("no connection to the server")

// ErrDisconnected is wrapped by Run when the connection broke while a command ran.
var ErrDisconnected = errors.New("the connection was lost while the command ran")

// ExitDisconnected is the exit code that Packer's users write in valid_exit_codes to accept a lost connection.
const ExitDisconnected = 2300218

// Connect waits until the server lets us in, at most c.Timeout. When it does not, the error is a *ConnectError.
// c.Type "none" gives a nil Communicator and no error.
func Connect(ctx context.Context, c config.Communicator, t Target, log Log) (Communicator, error) {
	switch c.Type {
	case "none":
		return nil, nil
	case "", "ssh":
		return connectSSH(ctx, c, t, log)
	case "winrm":
		return connectWinRM(ctx, c, t, log)
	}
	return nil, fmt.Errorf("connect: unknown communicator %q; known are ssh, winrm and none", c.Type)
}

// Options say what Run does and with what.
type Options struct {
	Steps        []*config.Step
	From         int          // index of the first step to run; earlier ones ran in an interrupted run
	ErrorCleanup *config.Step // runs when a step failed; nil with -on-error=abort
	Values       config.RunValues
	Comm         Communicator // nil with communicator "none"
	// Communicator and Target are what Comm was made from; ansible, windows-restart and shell-local need them.
	Communicator config.Communicator
	Target       Target
	// TemporaryKey is the public half of the key that was made for this run, as a line of authorized_keys; "" when there
	// is none. ssh_clear_authorized_keys takes it off the server.
	TemporaryKey string

	Story    *ui.Story
	Redactor *redact.Redactor // learns the secrets the steps resolve to; nil: nothing is redacted
	Dir      string           // where shell-local and ansible run; empty: the working directory, as with Packer
	// OnStep is told when a step starts and ends, before the next one starts; an error stops the run (a step that
	// cannot be noted must not run). nil: nobody.
	OnStep func(StepEvent) error
	// Ask waits for the person at the terminal (breakpoint); nil: there is nobody, breakpoints pass with a note.
	Ask func(ctx context.Context, question string, echo bool) (string, error)
	// Stopped asks the cloud whether the server has stopped; nil: nobody knows. It tells a last step that shut the
	// server down (sysprep) from a lost connection.
	Stopped func(ctx context.Context) (bool, error)
}

// StepEvent tells the progress of a step.
type StepEvent struct {
	Index   int // into Options.Steps; -1 for the error cleanup
	Step    *config.Step
	State   StepState
	Elapsed time.Duration // when ended
	Err     error         // when failed or passed over
}

// StepState is a step's place in its life.
type StepState string

// The states of a step.
const (
	StepStarted StepState = "started"
	StepDone    StepState = "done"
	StepFailed  StepState = "failed"
	StepPassed  StepState = "passed-over" // failed, but continue_on_error is set
)

// StepError is the error of Run: which step failed, and why.
type StepError struct {
	Index int // -1 for the error cleanup
	Step  *config.Step
	Err   error
}

func (e *StepError) Error() string {
	what := e.Step.Type
	if e.Step.Name != "" {
		what += fmt.Sprintf(" %q", e.Step.Name)
	}
	if e.Step.Range.Filename != "" {
		what += fmt.Sprintf(", %s:%d", filepath.Base(e.Step.Range.Filename), e.Step.Range.Start.Line)
	}
	if e.Index < 0 {
		return fmt.Sprintf("error-cleanup-provisioner (%s): %s", what, e.Err)
	}
	return fmt.Sprintf("provisioner %d (%s): %s", e.Index+1, what, e.Err)
}

func (e *StepError) Unwrap() error { return e.Err }
