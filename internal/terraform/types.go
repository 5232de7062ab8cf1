// Package terraform drives the terraform (or OpenTofu) program in a run directory. It is alone in using terraform-exec
// and hc-install. It finds the program, gives it an environment of its own, turns its JSON output into readable lines
// and typed errors, and hands over a Server.
package terraform

import (
	"context"
	"time"
)

// Log takes the story of an operation, one line per call. *ui.Story is one. It must neither fail nor block for long.
type Log interface {
	Info(format string, args ...any)
}

// Binary is a terraform or OpenTofu program and what it says of itself.
type Binary struct {
	Path    string // absolute
	Version string // "1.11.4"
	Tofu    bool   // OpenTofu
	Source  string // where it came from: "-terraform", "PATH", "cache", "download"
}

// Options describe one run directory and how terraform is to work in it.
type Options struct {
	Binary Binary
	Dir    string // the root module, see render.Write
	// Env is the whole environment of the child, from Environment. Nothing else of ours reaches it.
	Env map[string]string
	// Keys is asked at each operation's start for what to set in Env as well: API keys that expire are renewed meanwhile.
	// May be nil.
	Keys func(context.Context) map[string]string
	// Reattach points terraform to a provider that is served already (the embedded one). nil: terraform finds the
	// provider itself, in the registry or a mirror.
	Reattach Reattach
	Log      Log // nil: silent
	// Hard kills the operation at work when it ends, see Kill, and lets no other one begin. nil: never.
	Hard context.Context
	// Workspace is the backend's workspace to work in; Init selects it, and makes it if need be. "": the default one.
	Workspace string

	// Locate names the place in the user's template that a diagnostic is about, like
	// "bake.json:12:7: server_product_code", or "" when there is none. nil: places are not named.
	Locate func(Diagnostic) string
	// Clock says how this machine's clock is wrong, "" when it is not. It is asked when a provider's calls are refused;
	// the official one signs them with that clock. May be nil.
	Clock func() string

	Parallelism int           // default 4: NCloud refuses concurrent changes of one ACG (1007009)
	LockTimeout time.Duration // how long to wait for a locked state; default 2 minutes
	// Grace is how long an interrupted apply or destroy may take to finish the create it is at; then it is killed. Default:
	// DefaultGrace.
	Grace time.Duration
}

// DefaultGrace is longer than the hour that the official provider waits for a server; it cannot be hurried.
const DefaultGrace = 65 * time.Minute

// Server is the temporary server of a bake, with the numbers of all that was made with it. After a failed apply it
// holds whatever exists; fields are empty where there is nothing.
type Server struct {
	ID, Name            string
	PublicIP, PrivateIP string
	PublicIPNo          string
	NICNo, ACGNo        string // VPC; ACGNo only where the ACG is our own
	InitScriptNo        string // VPC
	BlockStorageNo      string
	LoginKeyName        string // as used by the server
}

// Reattach is the content of TF_REATTACH_PROVIDERS: provider address to a running provider, in terraform's own JSON
// shape. Name both addresses, registry.terraform.io/… and registry.opentofu.org/….
type Reattach map[string]ReattachConfig

// ReattachConfig tells how to reach one running provider.
type ReattachConfig struct {
	Protocol        string // "grpc"
	ProtocolVersion int    // 5 or 6
	Pid             int
	Test            bool // true: terraform does not end the process when it is done; must be true for our own process
	Addr            ReattachAddr
}

// ReattachAddr is a net.Addr in JSON.
type ReattachAddr struct{ Network, String string }

// Diagnostic is one error or warning of terraform's.
type Diagnostic struct {
	Severity  string // "error" or "warning"
	Summary   string
	Detail    string
	Address   string // resource address, "module.bake.ncloud_server.this"; may be empty
	Attribute string // the argument at fault, "server_product_code"; may be empty
	File      string // file of the run directory, and line; may be empty
	Line      int
	Place     string // what Options.Locate made of it
}

// Error is a failed operation. Its text is complete: what was being done, every diagnostic, what to do next.
type Error struct {
	Op           string // "init", "apply", "destroy", "state pull", …
	Diagnostics  []Diagnostic
	Output       string // last lines of the program that were not JSON, such as a crash's
	Err          error  // how the program ended; on cancellation context.Cause as well
	Canceled     bool   // the context ended before the operation did
	Killed       bool   // the program was killed: what it was creating may exist and be in no state
	ErroredState string // path of errored.tfstate, when terraform could not write the state where it belongs
	CrashLog     string // path of crash.log
	Hint         string
}

// StateStatus tells what a state file is worth.
type StateStatus int

const (
	StateMissing   StateStatus = iota // there is no state file: nothing was ever written
	StateBlank                        // it has 0 bytes: terraform was killed while writing; says nothing about what exists
	StateTruncated                    // it is no complete JSON: same
	StateForeign                      // JSON, but no state of a version we know
	StateEmpty                        // sound, and holds no resource
	StateFilled                       // sound, and holds resources
)

// Sound tells whether the state can be believed.
func (s StateStatus) Sound() bool { return s == StateMissing || s == StateEmpty || s == StateFilled }

// State is what a state holds.
type State struct {
	Status           StateStatus
	Path             string // the file it was read from; empty for a backend's
	Lineage          string
	Serial           uint64
	TerraformVersion string
	Resources        []Resource        // managed resources only
	Outputs          map[string]string // string outputs that are not sensitive
}

// Resource is one managed resource instance of a state.
type Resource struct {
	Address string // "module.bake.ncloud_server.this[0]"
	Type    string // "ncloud_server"
	ID      string
	Tainted bool
	Deposed string // deposed key, else ""
	// Attributes holds the string, number and bool attributes that are not marked sensitive.
	Attributes map[string]string
}
