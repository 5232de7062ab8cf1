// Package sweep finds, by asking the API alone, everything that bears a run's name, and deletes it. It is what ends every
// run ("0 resources left") and what cleans up when Terraform's state is lost. It needs no state of its own: again and
// again it looks at what exists and pushes each thing one step towards its end, so it can be interrupted and repeated.
package sweep

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tfbake/tfbake/internal/config"
	"github.com/tfbake/tfbake/internal/ncloud"
	"github.com/tfbake/tfbake/internal/snapshot"
)

// Kind is what a resource is.
type Kind string

// Kinds in the order in which they are listed.
const (
	Image        Kind = "image"
	PublicIP     Kind = "public IP"
	Server       Kind = "server"
	BlockStorage Kind = "block storage"
	Snapshot     Kind = "snapshot"
	NIC          Kind = "network interface"
	ACG          Kind = "access control group"
	InitScript   Kind = "init script"
	LoginKey     Kind = "login key"
)

// Resource is something of a run that exists.
type Resource struct {
	Kind     Kind            `json:"kind"`
	Platform config.Platform `json:"platform"`
	No       string          `json:"no"`   // a login key's is its name
	Name     string          `json:"name"` // a public IP's is its description, or else its address
	State    string          `json:"state,omitempty"`
	Error    string          `json:"error,omitempty"` // why it could not be deleted, after a sweep

	status, operation string
	server            string // number of the server it is attached to
	foreign           bool   // not the run's, only attached to its server: it comes off, and stays
	vpc, subnet       string
	protected         bool
	created           time.Time // by the cloud's clock; zero: not told, as of network interfaces and VPC's ACGs
	image             imageAPI
	spared            string // why it stays; empty: it goes
}

func (r Resource) String() string {
	s := fmt.Sprintf("%s %s (%s)", r.Kind, r.Name, r.No)
	if r.Kind == LoginKey {
		s = fmt.Sprintf("%s %s", r.Kind, r.Name)
	}
	if r.State != "" {
		s += " " + r.State
	}
	if r.foreign {
		s += ", which is not the run's and stays"
	}
	if r.spared != "" {
		s += " " + r.spared
	}
	if r.Error != "" {
		s += ": " + r.Error
	}
	return s
}

func (r Resource) key() string { return string(r.Platform) + "/" + string(r.Kind) + "/" + r.No }

// imageAPI is which of the APIs an image belongs to.
type imageAPI int

const (
	classicMember imageAPI = iota
	vpcMember
	vpcServer
)

// Sweeper sweeps one region.
type Sweeper struct {
	Client    *ncloud.Client
	Platforms []config.Platform // where to look; empty: both
	// Images are those that the run began and did not see to their end. What is certainly the run's and failed, or is not yet
	// finished, is deleted; what is finished stays, and what may be somebody else's: see Spared.
	Images []snapshot.Begun
	// Except holds numbers of resources to leave alone: what terraform's state knows, and terraform will destroy itself.
	Except []string
	// Disks holds the numbers of disks that came with a server of the run, as noted by an earlier sweep: once detached,
	// nothing else tells whose they are. Note is told such a number before the disk is touched; may be nil.
	Disks []string
	Note  func(disk string) error
	// Settle looks again after this time before it believes that nothing is left: a create whose caller was killed may
	// still be on its way through the cloud. 0: one look.
	Settle time.Duration
	// Patience is how long to go on without getting anywhere; 10 min.
	Patience time.Duration
	Pause    time.Duration                    // between looks, at first; it grows to 5 s; 200 ms
	Log      func(format string, args ...any) // told what is deleted; may be nil
	Every    time.Duration                    // between words on what is waited for; 15 s

	spared []Resource
}

// Spared returns the images of the run's image name that stay, as of the last List or Sweep.
func (s *Sweeper) Spared() []Resource { return s.spared }

// Owned tells whether a name is a run's: the run's own name, or the name, a dash and more. "tfb-1-a" owns "tfb-1-a-nic", not
// "tfb-1-ab".
func Owned(name, run string) bool {
	return run != "" && (name == run || strings.HasPrefix(name, run+"-"))
}

// ownedText tells whether a description, all a public IP can be known by, has a run's name among its words.
func ownedText(text, run string) bool {
	return slices.ContainsFunc(strings.Fields(text), func(w string) bool { return Owned(w, run) })
}

// runName is what a run's resources are named after.
var runName = regexp.MustCompile(`\btfb-\d{6}-\d{6}-[a-z0-9]{4}(?:$|[-\s])`)

// RunOf returns the run's name in a resource's name or description, "" when it is no run's.
func RunOf(text string) string {
	for _, w := range strings.Fields(text) {
		if loc := runName.FindStringIndex(w); loc != nil && loc[0] == 0 {
			return w[:22]
		}
	}
	return ""
}

// List returns everything that bears the run's name, and its unfinished images.
func (s *Sweeper) List(ctx context.Context, run string) ([]Resource, error) {
	if RunOf(run) != run || run == "" {
		return nil, fmt.Errorf("%q is not a run's name (tfb-yymmdd-hhmmss-xxxx): refusing to look for what to delete", run)
	}
	return s.list(ctx, func(name string) bool { return Owned(name, run) }, func(text string) bool { return ownedText(text, run) })
}

// Orphans returns what bears any run's name, by run.
func (s *Sweeper) Orphans(ctx context.Context) (map[string][]Resource, error) {
	all, err := s.list(ctx, func(name string) bool { return RunOf(name) != "" && Owned(name, RunOf(name)) }, func(text string) bool { return RunOf(text) != "" })
	runs := map[string][]Resource{}
	for _, r := range all {
		if run := RunOf(r.Name); run != "" {
			runs[run] = append(runs[run], r)
		}
	}
	return runs, err
}

// Newest tells when the youngest of the resources was made, by the cloud's clock; zero: of none is it known.
func Newest(rs []Resource) (t time.Time) {
	for _, r := range rs {
		if r.created.After(t) {
			t = r.created
		}
	}
	return t
}

// Sweep deletes everything of a run and returns what is left when nothing more can be done, each with the reason. The
// error is for a list that could not be had (then what is left is not known) or for a context that ended; that things are
// left is not an error here.
func (s *Sweeper) Sweep(ctx context.Context, run string) (left []Resource, err error) {
	patience, shortest := cmp.Or(s.Patience, 10*time.Minute), cmp.Or(s.Pause, 200*time.Millisecond)
	var (
		moved   = time.Now() // when the world last changed
		before  string
		reasons = map[string]error{}
		told    = map[string]string{}
		settled bool
		pause   = shortest
		lastly  = time.Now() // something was said
	)
	say := func(format string, args ...any) {
		if lastly = time.Now(); s.Log != nil {
			s.Log(format, args...)
		}
	}
	for {
		now, err := s.List(ctx, run)
		if ncloud.IsTransient(err) && time.Since(moved) < patience && sleep(ctx, pause) == nil {
			pause = min(pause*3/2, 5*time.Second)
			continue
		}
		if err != nil {
			return annotate(left, reasons), fmt.Errorf("what is left of %s is not known: %w", run, err)
		}
		left = now
		for _, r := range s.spared {
			if told[r.key()] != r.spared && len(s.Except) == 0 { // with exceptions, another sweep follows
				told[r.key()] = r.spared
				say("%s", r)
			}
		}
		if len(left) == 0 {
			if settled || s.Settle == 0 {
				return nil, nil
			}
			settled = true
			if sleep(ctx, s.Settle) != nil {
				return nil, context.Cause(ctx)
			}
			continue
		}
		if picture := picture(left); picture != before {
			before, moved, pause = picture, time.Now(), shortest
		}
		hopeless := true
		var awaited []string
		for _, r := range left {
			act := next(r, left)
			if act == wait {
				hopeless = false
				awaited = append(awaited, r.String())
				continue
			}
			if step := string(act) + " " + r.String(); told[r.key()] != step {
				told[r.key()] = step // what is refused for now is tried again without a word
				say("%s", step)
			}
			err := s.do(ctx, act, r)
			switch {
			case err == nil:
				delete(reasons, r.key())
				hopeless = false
			case ctx.Err() != nil:
				return annotate(left, reasons), context.Cause(ctx)
			default:
				reasons[r.key()] = err
				awaited = append(awaited, fmt.Sprintf("%s (%s)", r, err))
				hopeless = hopeless && ncloud.IsAuth(err) // every other refusal may pass
			}
		}
		if hopeless || time.Since(moved) > patience {
			return annotate(left, reasons), nil
		}
		if time.Since(lastly) >= cmp.Or(s.Every, 15*time.Second) {
			if len(awaited) == 0 { // all of it was asked for a moment ago
				for _, r := range left {
					awaited = append(awaited, r.String())
				}
			}
			say("waiting for %s: no change for %s, giving up after %s", some(awaited), time.Since(moved).Round(time.Second), patience)
		}
		if sleep(ctx, pause) != nil {
			return annotate(left, reasons), context.Cause(ctx)
		}
		pause = min(pause*3/2, 5*time.Second)
	}
}

// some lists at most three.
func some(of []string) string {
	if more := len(of) - 3; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(of[:3], ", "), more)
	}
	return strings.Join(of, ", ")
}

func annotate(left []Resource, reasons map[string]error) []Resource {
	for i, r := range left {
		if err := reasons[r.key()]; err != nil {
			left[i].Error = err.Error()
		}
	}
	return left
}

func picture(rs []Resource) string {
	var b strings.Builder
	for _, r := range rs {
		b.WriteString(r.key() + " " + r.State + " " + r.server + "\n")
	}
	return b.String()
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// action is one step towards a resource's end.
type action string

const (
	wait         action = "wait" // something else has to happen first, or is happening
	disassociate action = "disassociate"
	detach       action = "detach"
	unprotect    action = "unprotect"
	stop         action = "stop"
	terminate    action = "terminate"
	remove       action = "delete"
)

// next decides the next step for a resource, given all that exists. The order follows from what each needs: images before
// the servers they are made of, public IPs and disks off the servers, servers stopped before they are returned, NICs after
// the servers, ACGs after the NICs, init scripts and keys last.
func next(r Resource, all []Resource) action {
	exists := func(k Kind) bool {
		return slices.ContainsFunc(all, func(o Resource) bool { return o.Kind == k && o.Platform == r.Platform })
	}
	idle := r.operation == "" || r.operation == "NULL"
	switch r.Kind {
	case Image:
		if r.operation == "TERMT" {
			return wait
		}
		return remove
	case PublicIP:
		switch {
		case r.status == "TERMTING" || r.status == "TERMT" || !idle:
			return wait
		case r.server != "":
			return disassociate
		case r.foreign:
			return wait // never: it is in no list then
		}
		return remove
	case Server:
		switch {
		case r.operation == "TERMT" || r.status == "TERMT":
			return wait
		case !idle:
			return wait
		case r.protected:
			return unprotect
		case r.status == "RUN":
			return stop
		case r.status == "INIT" || r.status == "CREAT":
			return terminate // refused while it is being made, which passes; for one that got stuck there is no other way
		case r.status == "FSTOP" || strings.HasSuffix(r.status, "_FL"):
			return terminate // broken: it may refuse to let go of its disks for ever
		case slices.ContainsFunc(all, func(o Resource) bool {
			return o.Platform == r.Platform && o.server == r.No && (o.Kind == PublicIP || o.Kind == BlockStorage)
		}):
			return wait
		}
		return terminate // stopped, in whatever way
	case BlockStorage:
		server := slices.IndexFunc(all, func(o Resource) bool { return o.Kind == Server && o.Platform == r.Platform && o.No == r.server })
		switch {
		case !idle:
			return wait
		case r.server == "":
			return remove
		case server >= 0 && (all[server].operation != "NULL" && all[server].operation != "" || all[server].status == "RUN"):
			return wait // detached when the server is stopped: a mounted disk refuses
		}
		return detach
	case Snapshot:
		if !idle {
			return wait
		}
		return remove
	case NIC:
		switch {
		case exists(Server), r.status == "UNSET", r.status == "SET":
			return wait
		case r.server != "":
			return detach
		}
		return remove
	case ACG:
		if exists(NIC) || exists(Server) || r.status == "SET" || r.status == "TERMTING" {
			return wait
		}
		return remove
	}
	if exists(Server) { // init scripts and login keys
		return wait
	}
	return remove
}

// do takes one step.
func (s *Sweeper) do(ctx context.Context, act action, r Resource) error {
	v, on := s.Client.VPC, s.Client.On(string(r.Platform))
	switch r.Kind {
	case Image:
		switch r.image {
		case classicMember:
			return s.Client.Classic.DeleteMemberServerImages(ctx, r.No)
		case vpcMember:
			return v.DeleteMemberServerImageInstances(ctx, r.No)
		}
		return v.DeleteServerImage(ctx, r.No)
	case PublicIP:
		if act == disassociate {
			return on.DisassociatePublicIpFromServerInstance(ctx, r.No)
		}
		return on.DeletePublicIpInstance(ctx, r.No)
	case Server:
		switch act {
		case unprotect:
			return on.SetProtectServerTermination(ctx, r.No, false)
		case stop:
			return on.StopServerInstances(ctx, r.No)
		}
		return on.TerminateServerInstances(ctx, r.No)
	case BlockStorage:
		if act == detach {
			return on.DetachBlockStorageInstances(ctx, r.No)
		}
		if r.protected && r.Platform == config.VPC {
			if err := v.SetBlockStorageReturnProtection(ctx, r.No, false); err != nil {
				return err
			}
		}
		return on.DeleteBlockStorageInstances(ctx, r.No)
	case Snapshot:
		return on.DeleteBlockStorageSnapshotInstances(ctx, r.No)
	case NIC:
		if act == detach {
			return v.DetachNetworkInterface(ctx, r.No, r.subnet, r.server)
		}
		return v.DeleteNetworkInterface(ctx, r.No)
	case ACG:
		return v.DeleteAccessControlGroup(ctx, r.vpc, r.No)
	case InitScript:
		return v.DeleteInitScripts(ctx, r.No)
	case LoginKey:
		return on.DeleteLoginKey(ctx, r.No)
	}
	return fmt.Errorf("nothing known about deleting a %s", r.Kind)
}

// list asks for everything whose name (or, for public IPs, description) is owned.
func (s *Sweeper) list(ctx context.Context, owned, ownedText func(string) bool) ([]Resource, error) {
	platforms := s.Platforms
	if len(platforms) == 0 {
		platforms = []config.Platform{config.Classic, config.VPC}
	}
	s.spared = nil
	var out []Resource
	var errs []error
	for _, p := range platforms {
		rs, err := s.listPlatform(ctx, p, owned, ownedText)
		if err != nil && len(platforms) > 1 && ncloud.IsAuth(err) {
			// An account without Classic, say. When no platform may be seen, that is an error.
			errs = append(errs, err)
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, rs...)
	}
	if len(errs) == len(platforms) {
		return nil, errors.Join(errs...)
	}
	return slices.DeleteFunc(out, func(r Resource) bool {
		return slices.Contains(s.Except, r.No) || r.foreign && slices.Contains(s.Except, r.server)
	}), nil
}

func (s *Sweeper) listPlatform(ctx context.Context, p config.Platform, owned, ownedText func(string) bool) ([]Resource, error) {
	questions := s.vpcQuestions(owned, ownedText)
	if p == config.Classic {
		questions = s.classicQuestions(owned, ownedText)
	}
	answers := make([][]Resource, len(questions))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for i, ask := range questions {
		g.Go(func() (err error) {
			answers[i], err = ask(ctx)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	out, err := s.ofServers(slices.Concat(answers...), owned)
	for i := range out {
		out[i].Platform = p
		out[i].State = strings.Trim(out[i].status+"/"+out[i].operation, "/")
	}
	out = slices.DeleteFunc(out, func(r Resource) bool {
		if r.spared != "" {
			s.spared = append(s.spared, r)
		}
		return r.spared != ""
	})
	return out, err
}

type question func(context.Context) ([]Resource, error)

// gather turns a list of the API into resources; ok filters.
func gather[T any](list []T, err error, one func(T) (Resource, bool)) ([]Resource, error) {
	var out []Resource
	for _, v := range list {
		if r, ok := one(v); ok {
			out = append(out, r)
		}
	}
	return out, err
}

// Reasons for an image to stay.
const (
	finished = "is finished and stays"
	doubtful = "bears the name of the run's image, and nothing tells whether the run made it: it stays"
)

// half tells whether an image is to be looked at: r is what it is, of what it is made of.
func (s *Sweeper) half(r Resource, of snapshot.Image, statusName string) (Resource, bool) {
	ready := snapshot.Finished(r.status, r.operation, statusName)
	for _, begun := range s.Images {
		switch begun.Whose(of) {
		case snapshot.Ours:
			if r.spared = ""; ready {
				r.spared = finished
			}
			return r, true
		case snapshot.Doubtful:
			if !ready { // a finished one is anybody's
				r.spared = doubtful
			}
		}
	}
	return r, r.spared != ""
}

func (s *Sweeper) vpcQuestions(owned, ownedText func(string) bool) []question {
	v := s.Client.VPC
	qs := []question{
		func(ctx context.Context) ([]Resource, error) {
			l, err := v.GetPublicIpInstanceList(ctx, ncloud.PublicIPFilter{})
			return gather(l, err, publicIP(owned, ownedText))
		},
		func(ctx context.Context) ([]Resource, error) {
			l, err := v.GetServerInstanceList(ctx, ncloud.ServerFilter{})
			return gather(l, err, func(i ncloud.Server) (Resource, bool) {
				return Resource{Kind: Server, No: i.No, Name: i.Name, status: i.Status, operation: i.Operation, protected: i.TerminationProtected, created: date(i.CreateDate)}, owned(i.Name)
			})
		},
		func(ctx context.Context) ([]Resource, error) {
			l, err := v.GetBlockStorageInstanceList(ctx, ncloud.BlockStorageFilter{})
			return gather(l, err, disk())
		},
		s.vpcSnapshots(owned),
		func(ctx context.Context) ([]Resource, error) {
			l, err := v.GetNetworkInterfaceList(ctx, ncloud.NetworkInterfaceFilter{})
			return gather(l, err, func(n ncloud.NetworkInterface) (Resource, bool) {
				return Resource{Kind: NIC, No: n.No, Name: n.Name, status: n.Status, server: n.InstanceNo, subnet: n.SubnetNo}, owned(n.Name)
			})
		},
		func(ctx context.Context) ([]Resource, error) {
			l, err := v.GetAccessControlGroupList(ctx, ncloud.ACGFilter{})
			return gather(l, err, func(g ncloud.ACG) (Resource, bool) {
				return Resource{Kind: ACG, No: g.No, Name: g.Name, status: g.Status, vpc: g.VPCNo}, owned(g.Name) && !g.IsDefault
			})
		},
		func(ctx context.Context) ([]Resource, error) {
			l, err := v.GetInitScriptList(ctx, ncloud.InitScriptFilter{})
			return gather(l, err, func(i ncloud.InitScript) (Resource, bool) {
				return Resource{Kind: InitScript, No: i.No, Name: i.Name, created: date(i.CreateDate)}, owned(i.Name)
			})
		},
		func(ctx context.Context) ([]Resource, error) {
			l, err := v.GetLoginKeyList(ctx, "")
			return gather(l, err, key(owned))
		},
	}
	if len(s.Images) > 0 {
		qs = append([]question{
			func(ctx context.Context) ([]Resource, error) {
				l, err := v.GetMemberServerImageInstanceList(ctx, ncloud.MemberImageFilter{})
				return gather(l, err, s.member(vpcMember))
			},
			func(ctx context.Context) ([]Resource, error) {
				l, err := v.GetServerImageList(ctx, ncloud.ServerImageFilter{Types: []string{"SELF"}})
				return gather(l, err, func(i ncloud.ServerImage) (Resource, bool) {
					return s.half(Resource{Kind: Image, No: i.No, Name: i.Name, status: i.Status, operation: i.Operation, image: vpcServer},
						snapshot.Image{No: i.No, Name: i.Name, Description: i.Description}, i.StatusName)
				})
			},
		}, qs...)
	}
	return qs
}

// vpcSnapshots finds a run's snapshots, except those that are the disks of an image: they are the image.
func (s *Sweeper) vpcSnapshots(owned func(string) bool) question {
	return func(ctx context.Context) ([]Resource, error) {
		l, err := s.Client.VPC.GetBlockStorageSnapshotInstanceList(ctx, ncloud.SnapshotFilter{})
		found, err := gather(l, err, diskSnapshot(owned))
		if err != nil || len(found) == 0 {
			return nil, err
		}
		images, err := s.Client.VPC.GetServerImageList(ctx, ncloud.ServerImageFilter{Types: []string{"SELF"}})
		if err != nil {
			return nil, err
		}
		return slices.DeleteFunc(found, func(r Resource) bool {
			return slices.ContainsFunc(images, func(i ncloud.ServerImage) bool {
				return slices.ContainsFunc(i.Disks, func(d ncloud.ImageDisk) bool { return d.SnapshotNo == r.No })
			})
		}), nil
	}
}

func (s *Sweeper) classicQuestions(owned, ownedText func(string) bool) []question {
	c := s.Client.Classic
	qs := []question{
		func(ctx context.Context) ([]Resource, error) {
			l, err := c.GetPublicIpInstanceList(ctx, ncloud.PublicIPFilter{})
			return gather(l, err, publicIP(owned, ownedText))
		},
		func(ctx context.Context) ([]Resource, error) {
			l, err := c.GetServerInstanceList(ctx, ncloud.ServerFilter{})
			return gather(l, err, func(i ncloud.Server) (Resource, bool) {
				return Resource{Kind: Server, No: i.No, Name: i.Name, status: i.Status, operation: i.Operation, protected: i.TerminationProtected, created: date(i.CreateDate)}, owned(i.Name)
			})
		},
		func(ctx context.Context) ([]Resource, error) {
			l, err := c.GetBlockStorageInstanceList(ctx, ncloud.BlockStorageFilter{})
			return gather(l, err, disk())
		},
		func(ctx context.Context) ([]Resource, error) {
			l, err := c.GetBlockStorageSnapshotInstanceList(ctx, ncloud.SnapshotFilter{})
			if ncloud.IsUnknownAction(err) { // a cloud without Classic snapshots has none of ours
				err = nil
			}
			return gather(l, err, diskSnapshot(owned))
		},
		func(ctx context.Context) ([]Resource, error) {
			l, err := c.GetLoginKeyList(ctx, "")
			return gather(l, err, key(owned))
		},
	}
	if len(s.Images) > 0 {
		qs = append([]question{func(ctx context.Context) ([]Resource, error) {
			l, err := c.GetMemberServerImageList(ctx, ncloud.MemberImageFilter{})
			return gather(l, err, s.member(classicMember))
		}}, qs...)
	}
	return qs
}

func (s *Sweeper) member(api imageAPI) func(ncloud.MemberImage) (Resource, bool) {
	return func(i ncloud.MemberImage) (Resource, bool) {
		return s.half(Resource{Kind: Image, No: i.No, Name: i.Name, status: i.Status, operation: i.Operation, image: api},
			snapshot.Image{No: i.No, Name: i.Name, Description: i.Description, ServerNo: i.OriginalServerNo}, i.StatusName)
	}
}

// publicIP picks the public IPs that are a run's, by their descriptions, and those that somebody attached to its server.
func publicIP(owned, ownedText func(string) bool) func(ncloud.PublicIP) (Resource, bool) {
	return func(p ncloud.PublicIP) (Resource, bool) {
		ours := ownedText(p.Description)
		return Resource{Kind: PublicIP, No: p.No, Name: cmp.Or(p.Description, p.IP), status: p.Status, operation: p.Operation, server: p.ServerNo, foreign: !ours, created: date(p.CreateDate)},
			ours || owned(p.ServerName) && p.ServerNo != ""
	}
}

// disk picks all disks but the base disks of servers, which go with their server.
func disk() func(ncloud.BlockStorage) (Resource, bool) {
	return func(b ncloud.BlockStorage) (Resource, bool) {
		return Resource{Kind: BlockStorage, No: b.No, Name: b.Name, status: b.Status, operation: b.Operation, server: b.ServerNo, protected: b.ReturnProtected, created: date(b.CreateDate)},
			!(b.Type == "BASIC" && b.ServerNo != "") // whose it is, ofServers decides
	}
}

// born is how long after its server a disk that comes with it may be made. NAVER Cloud gives a server made from an image with
// several disks all of them, under names of its own, and they outlive the server.
const born = 5 * time.Minute

// ofServers keeps, of all disks, the disks that are a run's: those that bear its name, and those that came with its servers. A disk that
// somebody attached to one later stays out: it is older than the server, or younger by more than a bit.
func (s *Sweeper) ofServers(all []Resource, owned func(string) bool) ([]Resource, error) {
	var failed error
	out := slices.DeleteFunc(all, func(d Resource) bool {
		if d.Kind != BlockStorage || owned(d.Name) || slices.Contains(s.Disks, d.No) {
			return false
		}
		came := slices.ContainsFunc(all, func(o Resource) bool {
			if o.Kind != Server || o.No != d.server || o.created.IsZero() || d.created.IsZero() {
				return false
			}
			age := d.created.Sub(o.created)
			return age >= -time.Minute && age <= born
		})
		if came && s.Note != nil {
			if err := s.Note(d.No); err != nil {
				failed = errors.Join(failed, fmt.Errorf("note that disk %s is the run's: %w", d.No, err))
				return true
			}
		}
		if came {
			s.Disks = append(s.Disks, d.No)
		}
		return !came
	})
	return out, failed
}

// date reads a date as the API writes it; the zero time when it cannot be read.
func date(s string) time.Time {
	t, _ := time.Parse("2006-01-02T15:04:05-0700", s)
	return t
}

func diskSnapshot(owned func(string) bool) func(ncloud.Snapshot) (Resource, bool) {
	return func(s ncloud.Snapshot) (Resource, bool) {
		return Resource{Kind: Snapshot, No: s.No, Name: s.Name, status: s.Status, operation: s.Operation, created: date(s.CreateDate)}, owned(s.Name)
	}
}

func key(owned func(string) bool) func(ncloud.LoginKey) (Resource, bool) {
	return func(k ncloud.LoginKey) (Resource, bool) {
		return Resource{Kind: LoginKey, No: k.Name, Name: k.Name, created: date(k.CreateDate)}, owned(k.Name)
	}
}
