package localcloud

import (
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// Demo key pair accepted when Options names none. It opens nothing but a simulation on this machine.
const (
	DefaultAccessKey = "tfbake-local-access-key"
	DefaultSecretKey = "tfbake-local-secret-key"
)

// DefaultRegion is the region of a call that names none.
const DefaultRegion = "KR"

// Options says how a Cloud is started. The zero value is a fresh private cloud that answers fast.
type Options struct {
	Dir    string // state.json, guests/<serverNo>/, images/<imageNo>/, disks/<blockStorageNo>/; survives restarts; "" = private temporary directory, removed by Close
	Listen string // host:port of the API, default "127.0.0.1:0"

	AccessKey, SecretKey string // the accepted pair; defaults DefaultAccessKey, DefaultSecretKey

	Latency Latency   // how long state changes take; zero value = Fast()
	Log     io.Writer // one line per event worth knowing; nil = none

	// OnCall, when set, is called in the goroutine of each API call right before and right after it is processed (and
	// after any fault at that point was decided). While it runs the call does not go on; other calls do.
	OnCall func(Call, When)

	// HighPorts makes guests listen on ports above 1024 even if the process may bind 22; see Cloud.DialContext.
	HighPorts bool

	guests hypervisor // tests put a fake here; nil = package guest
}

// When is a point in the life of a call.
type When string

const (
	Before When = "before" // not processed yet: nothing has changed
	After  When = "after"  // processed: what it does has been done, the answer has not been sent
)

// Latency holds the durations of the state changes. In JSON they are strings like "150ms".
type Latency struct {
	Server     time.Duration // create: INIT -> CREAT -> RUN, half each; start
	Stop       time.Duration // stop, reboot
	Terminate  time.Duration // terminate until the server is no longer listed
	Setup      time.Duration // server operation SETUP while a public IP or disk is attached or detached
	Image      time.Duration // image creation and deletion
	Disk       time.Duration // block storage and snapshot creation, attach, detach, deletion
	Network    time.Duration // public IP, NIC, ACG changes
	SSHDelay   time.Duration // from RUN until the guest accepts connections
	PerRequest time.Duration // added to every API call
}

// Fast is the default: every change takes some tens of milliseconds, so that clients still see each state.
func Fast() Latency {
	return Latency{Server: 60 * time.Millisecond, Stop: 30 * time.Millisecond, Terminate: 30 * time.Millisecond, Setup: 20 * time.Millisecond,
		Image: 60 * time.Millisecond, Disk: 30 * time.Millisecond, Network: 15 * time.Millisecond}
}

// Realistic takes the times seen on the real cloud: about 90 s for a server, minutes for an image. Disks are quicker than
// the real ones may be: the official provider fails on a disk that is still detaching when it looks first, after 2 s.
func Realistic() Latency {
	return Latency{Server: 90 * time.Second, Stop: 15 * time.Second, Terminate: 20 * time.Second, Setup: 6 * time.Second,
		Image: 5 * time.Minute, Disk: 1500 * time.Millisecond, Network: 4 * time.Second, SSHDelay: 20 * time.Second, PerRequest: 120 * time.Millisecond}
}

// Kind of a Fault.
type Kind string

const (
	HTTPStatus  Kind = "http"         // gateway error: Status with {"error":{errorCode: Code, message}}; default 503/500
	Business    Kind = "business"     // HTTP Status (default 400) with {"responseError":{returnCode: Code, returnMessage: Message}}
	ErrorIn200  Kind = "error200"     // {"error":…} under HTTP 200, which the SDK takes for an empty answer
	Drop        Kind = "drop"         // the connection is closed without an answer, before or after processing
	Hang        Kind = "hang"         // no answer until the client gives up, at most Delay (default 10 min)
	Slow        Kind = "slow"         // the answer comes Delay later
	Truncate    Kind = "truncate"     // processed, but only the first half of the answer is sent
	Stuck       Kind = "stuck"        // the objects which the call creates or changes stay in their transitional state for good
	CreateFails Kind = "create-fails" // the objects which the call creates fail: image CREFL, server FSTOP
	Die         Kind = "die"          // processed; then the servers named by Server (or all) break down: guest killed, state FSTOP
	Disconnect  Kind = "disconnect"   // processed; then open connections to guests (Server, or all) are cut; the servers go on
	Pause       Kind = "pause"        // the call waits at When until released (Cloud.Release, POST /_local/release)
	Signal      Kind = "signal"       // Signal (default KILL) is sent to process PID, or to group -PID, at When; then the call goes on
)

// Fault is an order to misbehave. A fault counts the calls that match it, from the moment it is injected.
type Fault struct {
	ID       string `json:"id,omitempty"`       // given by Inject if empty; names the fault in Faults, the call log and Release
	Action   string `json:"action,omitempty"`   // glob on the action's name ("create*") or service/action ("vserver/get*"); "" = any
	Mutating bool   `json:"mutating,omitempty"` // count only calls that change something
	Nth      int    `json:"nth,omitempty"`      // first matching call to hit, from 1; 0 = from the first
	Count    int    `json:"count,omitempty"`    // how many matching calls from Nth on; 0 = one if Nth is given, else all
	Kind     Kind   `json:"kind"`

	When    When     `json:"when,omitempty"` // before (default) or after processing: http, business, error200, drop, hang, pause, signal
	Status  int      `json:"status,omitempty"`
	Code    string   `json:"code,omitempty"`
	Message string   `json:"message,omitempty"`
	Delay   Duration `json:"delay,omitempty"`
	Server  string   `json:"server,omitempty"` // server number or name, for die and disconnect
	PID     int      `json:"pid,omitempty"`    // for signal; never guessed, always the caller's
	Signal  string   `json:"signal,omitempty"` // KILL (default), INT, TERM
}

// FaultState is a Fault with what came of it.
type FaultState struct {
	Fault
	Matched int  `json:"matched"` // calls that matched
	Hits    int  `json:"hits"`    // calls that were hit
	Waiting bool `json:"waiting"` // a call is paused here now
}

// Call is one API call in the log. Secrets in Params are masked.
type Call struct {
	Seq         int               `json:"seq"` // from 1, in the order of arrival
	MutatingSeq int               `json:"mutatingSeq,omitempty"`
	Time        time.Time         `json:"time"`
	Service     string            `json:"service"` // server, vserver, vpc
	Action      string            `json:"action"`
	Mutating    bool              `json:"mutating,omitempty"`
	Params      map[string]string `json:"params,omitempty"`
	UserAgent   string            `json:"userAgent,omitempty"`
	Done        bool              `json:"done"`                // an answer was sent, or refused by a fault
	Processed   bool              `json:"processed,omitempty"` // the handler ran and accepted the call
	Status      int               `json:"status,omitempty"`    // HTTP status; 0 = connection dropped
	ReturnCode  string            `json:"returnCode,omitempty"`
	Message     string            `json:"message,omitempty"`
	Fault       string            `json:"fault,omitempty"` // id and kind of the fault that hit the call
	Millis      float64           `json:"millis"`
}

// Item is one thing that exists in the simulated account.
type Item struct {
	Kind        string `json:"kind"` // server, networkInterface, publicIp, blockStorage, snapshot, accessControlGroup, initScript, loginKey, serverImage, memberServerImage, portForwardingRule
	No          string `json:"no"`   // number; the name for login keys
	Name        string `json:"name,omitempty"`
	Description string `json:"description,omitempty"`
	Platform    string `json:"platform"` // classic, vpc; both for login keys
	Region      string `json:"region,omitempty"`
	Status      string `json:"status,omitempty"`
	Operation   string `json:"operation,omitempty"`
	Hypervisor  string `json:"hypervisor,omitempty"`
	Server      string `json:"server,omitempty"` // number of the server it belongs to, or was made from
	Address     string `json:"address,omitempty"`
	SizeGB      int64  `json:"sizeGB,omitempty"`
}

// Inventory is all that exists beyond what a fresh account has. Root disks go with their server and are not listed.
type Inventory struct {
	Servers             []Item `json:"servers"`
	NetworkInterfaces   []Item `json:"networkInterfaces"`
	PublicIPs           []Item `json:"publicIps"`
	BlockStorages       []Item `json:"blockStorages"`
	Snapshots           []Item `json:"snapshots"`
	AccessControlGroups []Item `json:"accessControlGroups"` // without the default ones
	InitScripts         []Item `json:"initScripts"`
	LoginKeys           []Item `json:"loginKeys"`
	PortForwardingRules []Item `json:"portForwardingRules"`
	Images              []Item `json:"images"` // own images
}

// Left lists everything but images: what a finished bake must not leave behind.
func (i Inventory) Left() []Item {
	var out []Item
	for _, l := range [][]Item{i.Servers, i.NetworkInterfaces, i.PublicIPs, i.BlockStorages, i.Snapshots, i.AccessControlGroups, i.InitScripts, i.LoginKeys, i.PortForwardingRules} {
		out = append(out, l...)
	}
	return out
}

// String names kind, number, name and status, for messages of tests.
func (i Item) String() string {
	return fmt.Sprintf("%s %s %q %s", i.Kind, i.No, i.Name, i.Status)
}

// Duration is a time.Duration written as "1.5s" in JSON.
type Duration time.Duration

func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(d).String()) }

func (d *Duration) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("duration %s: want a string like \"150ms\": %w", b, err)
	}
	v, err := time.ParseDuration(s)
	if err != nil {
		return err
	}
	*d = Duration(v)
	return nil
}
