// Package provider is the embedded Terraform provider: the official NaverCloudPlatform/ncloud provider's address, schema
// and state for the resources and data sources tfbake's modules use, answered by our own API client.
//
// It is not a mock. State it writes is the official provider's state: somebody's own terraform with the official provider
// shows it, plans it without a difference and destroys it, and the other way round. Where the official one fails it does
// better: an id is in state the moment the API has answered, a cancelled operation ends at once with its state saved,
// waits poll quickly at first and slowly later, every call names the region, errors carry the API's code and what to do.
//
// Known differences, all of them in what is asked and none in what state looks like: several filters of a newer data source must
// all pass (the official one takes a row once for each that does); is_default selects ACGs on VPC as well; NCLOUD_API_GW
// goes before site, so that a rehearsal with site = "gov" stays a rehearsal; the keys are also taken from NCLOUD_ACCESS_KEY_ID
// and NCLOUD_SECRET_ACCESS_KEY; 3.3.2 serves Classic only; lists of results have an id that does not change from read to
// read.
//
// The package speaks the plugin protocol through terraform-plugin-go and not through terraform-plugin-framework: most of the
// official resources are of the older SDK, whose plans change the number of nested blocks, take null and "" for the same
// value and keep private data of another form. The framework can express none of the three, and state would differ.
package provider

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/tfbake/tfbake/internal/ncloud"
)

// Flavour is which official release is spoken: its schema, its platform.
type Flavour int

const (
	VPC     Flavour = iota // official 4.0.5, support_vpc = true
	Classic                // official 3.3.2, support_vpc = false
)

// Version is the official release whose schema and state the flavour keeps to.
func (f Flavour) Version() string {
	if f == Classic {
		return "3.3.2"
	}
	return "4.0.5"
}

// String is "vpc" or "classic".
func (f Flavour) String() string {
	if f == Classic {
		return "classic"
	}
	return "vpc"
}

// Addresses are the provider's source addresses, in Terraform's and in OpenTofu's registry.
var Addresses = []string{
	"registry.terraform.io/navercloudplatform/ncloud",
	"registry.opentofu.org/navercloudplatform/ncloud",
}

// Options tell Reattach what to serve. The zero value serves VPC, configured by the provider block and the environment.
type Options struct {
	Flavour Flavour

	// Client is a ready-made API client, used whatever access key, secret key, region and site the provider block or the
	// environment name: the parent's credentials need not be handed to terraform at all. Nil: each configure makes one.
	Client *ncloud.Client
	// Transport carries the calls of clients made by configure. Nil: a transport of the client's own.
	Transport http.RoundTripper
	// Env looks up environment variables. Nil: os.Getenv, which in a Reattach is this process's environment, not the one
	// terraform runs with.
	Env func(string) string

	// Dir is the root module's directory: a relative output_file of a data source lies there. Empty: this process's
	// working directory, which in a plugin process is the root module's.
	Dir string

	// PollMin and PollMax bound the pause between two questions of a wait, which starts with the first and grows to the
	// second, in clients made by configure. Zero: the client's defaults, 300 ms and 5 s.
	PollMin, PollMax time.Duration

	// Log takes a line per step of an operation ("waiting for server 123 to be RUN: INIT/NULL"). It gets no secret. Nil:
	// nothing is written. Writes come from several goroutines, one at a time.
	Log io.Writer
}

// ReattachConfig tells Terraform how to reach a provider that already runs. Its JSON is what TF_REATTACH_PROVIDERS holds, and
// its fields are those of terraform-exec's ReattachConfig.
type ReattachConfig struct {
	Protocol        string
	ProtocolVersion int
	Pid             int
	Test            bool
	Addr            ReattachAddr
}

// ReattachAddr is the socket of a running provider.
type ReattachAddr struct {
	Network string // "unix", or "tcp" where there are no such sockets
	String  string
}

var logging sync.Mutex

func logTo(w io.Writer, format string, args ...any) {
	if w == nil {
		return
	}
	logging.Lock()
	defer logging.Unlock()
	fmt.Fprintf(w, format+"\n", args...) // a log that fails must not fail the operation
}

// Reattach serves the provider inside this process until stop is called or ctx ends, and returns how Terraform and OpenTofu
// reach it, by provider address (see Addresses). Several may be served at once, each on its own socket in a directory only
// this user can enter.
//
// stop cancels what is still running, waits until it has returned, and removes the socket. It may be called twice. When ctx
// ends the same happens by itself; stop then only waits for it. One Reattach serves any number of terraform runs, one
// after the other; runs at the same time must be configured alike.
func Reattach(ctx context.Context, o Options) (info map[string]ReattachConfig, stop func(), err error) {
	return reattach(ctx, o)
}
