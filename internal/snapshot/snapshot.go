// Package snapshot makes a server image of a server: stop, start the image by the one of the API's three calls that fits
// the server, wait until it is usable. It remembers nothing: whoever is interrupted finds the image again by its name.
package snapshot

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/tfbake/tfbake/internal/config"
	"github.com/tfbake/tfbake/internal/ncloud"
)

// Kind is the API an image is made, found, shared and deleted by.
type Kind string

const (
	ClassicMember Kind = "classic-member" // Classic: createMemberServerImage
	VPCMember     Kind = "vpc-member"     // VPC on XEN and RHV: createMemberServerImageInstance
	VPCServer     Kind = "vpc-server"     // VPC on KVM: createServerImage
)

// KindOf chooses the call for a server. hypervisor is XEN, RHV or KVM; Classic has none. An unknown one on VPC is an
// error rather than a guess: an image of the wrong kind is found by nobody.
func KindOf(p config.Platform, hypervisor string) (Kind, error) {
	switch {
	case p == config.Classic:
		return ClassicMember, nil
	case hypervisor == config.KVM:
		return VPCServer, nil
	case hypervisor == config.XEN, hypervisor == config.RHV:
		return VPCMember, nil
	}
	return "", fmt.Errorf("no image can be made on platform %q with hypervisor %q", p, hypervisor)
}

// Image is a server image, finished or on its way.
type Image struct {
	No          string          `json:"no"`
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Platform    config.Platform `json:"platform"`
	Kind        Kind            `json:"kind"`
	Region      string          `json:"region"` // region code
	RegionNo    string          `json:"region_no,omitempty"`
	ServerNo    string          `json:"server_no,omitempty"` // it is made of
}

// Request says what to make an image of.
type Request struct {
	Kind        Kind
	ServerNo    string
	Name        string
	Description string
}

// UnusableError is an image that will never be usable: creation failed, or it is being deleted, or is gone.
type UnusableError struct {
	Image Image
	State string
}

func (e *UnusableError) Error() string {
	return fmt.Sprintf("image %q (%s) will not become usable: it is %s", e.Image.Name, e.Image.No, e.State)
}

// Imager makes images in the client's region. The zero timeouts are the defaults.
type Imager struct {
	Client       *ncloud.Client
	Progress     func(ncloud.Progress) // told while waiting; may be nil
	StopTimeout  time.Duration         // 15 min
	StartTimeout time.Duration         // while the server is busy with something else; 10 min
	ImageTimeout time.Duration         // 3 h: a Windows image with disks takes long
	// Missing is how long a new image may stay out of the lists before it counts as gone; 1 min.
	Missing time.Duration
}

func or(d, def time.Duration) time.Duration {
	if d == 0 {
		return def
	}
	return d
}

// Stop shuts the server down and waits until it is. It is content with a server that shut itself down, waits while
// another operation runs (SETUP, SHTDN), and asks again when a stop has no effect.
func (m *Imager) Stop(ctx context.Context, p config.Platform, serverNo string) error {
	api := m.Client.On(string(p))
	idle := 0 // polls in a row that saw it running and doing nothing
	return m.Client.Wait(ctx, ncloud.WaitFor{
		What: fmt.Sprintf("server %s to stop", serverNo), Timeout: or(m.StopTimeout, 15*time.Minute), Progress: m.Progress,
		Poll: func(ctx context.Context) (string, bool, error) {
			s, err := api.GetServerInstanceDetail(ctx, serverNo)
			if err != nil {
				return "", false, err
			}
			state := s.Status + "/" + s.Operation
			switch next := stopStep(s.Status, s.Operation); next {
			case stopped:
				return state, true, nil
			case hopeless:
				return state, false, fmt.Errorf("server %s is %s (%s): it failed or is being returned, and no image of it would be sound", serverNo, state, s.StatusName)
			case busy:
				idle = 0
				return state, false, nil
			}
			// The state may lag behind a stop that was accepted, so only now and then is it asked again.
			if idle%10 == 0 {
				if err := api.StopServerInstances(ctx, serverNo); err != nil && !ncloud.IsState(err) && !ncloud.IsTransient(err) {
					return state, false, err
				}
			}
			idle++
			return state, false, nil
		},
	})
}

type step int

const (
	ask      step = iota // running and idle: ask it to stop
	busy                 // an operation runs: wait for its end
	stopped              // stopped and idle
	hopeless             // will not stop in good order
)

// stopStep decides what a server's status and operation mean for a stop.
func stopStep(status, operation string) step {
	switch {
	case status == "TERMT" || operation == "TERMT":
		return hopeless
	case operation != "NULL" && operation != "":
		return busy
	case status == "NSTOP":
		return stopped
	case status == "FSTOP" || strings.HasSuffix(status, "_FL"):
		return hopeless
	case status == "RUN":
		return ask
	}
	return busy // INIT, CREAT
}

// Start has the image made and returns as soon as the API has given it a number. A server that is still busy is waited
// for. An answer that was lost is looked for by the image's name, so that there are never two.
func (m *Imager) Start(ctx context.Context, r Request) (Image, error) {
	q := ncloud.CreateImage{ServerNo: r.ServerNo, Name: r.Name, Description: r.Description}
	var img Image
	err := m.Client.Wait(ctx, ncloud.WaitFor{
		What: fmt.Sprintf("server %s to be free for image %q", r.ServerNo, r.Name), Timeout: or(m.StartTimeout, 10*time.Minute), Progress: m.Progress,
		Poll: func(ctx context.Context) (string, bool, error) {
			no, err := m.create(ctx, r.Kind, q)
			if err == nil {
				img = m.image(r.Kind, no, r.Name, r.Description, r.ServerNo)
				return "", true, nil
			}
			if ncloud.IsState(err) {
				return err.Error(), false, nil
			}
			return "", false, err
		},
	})
	if we, ok := errors.AsType[*ncloud.WaitError](err); ok && we.Err != context.DeadlineExceeded && ctx.Err() == nil {
		return Image{}, fmt.Errorf("image %q of server %s: %w", r.Name, r.ServerNo, we.Err) // it never came to waiting
	}
	return img, err
}

func (m *Imager) create(ctx context.Context, k Kind, q ncloud.CreateImage) (no string, err error) {
	switch k {
	case ClassicMember:
		i, err := m.Client.Classic.CreateMemberServerImage(ctx, q)
		return i.No, err
	case VPCMember:
		i, err := m.Client.VPC.CreateMemberServerImageInstance(ctx, q)
		return i.No, err
	case VPCServer:
		i, err := m.Client.VPC.CreateServerImage(ctx, q)
		return i.No, err
	}
	return "", fmt.Errorf("unknown kind of image %q", k)
}

func (m *Imager) image(k Kind, no, name, description, serverNo string) Image {
	i := Image{No: no, Name: name, Description: description, Platform: config.VPC, Kind: k, Region: m.Client.RegionCode(), ServerNo: serverNo}
	if k == ClassicMember {
		i.Platform, i.RegionNo = config.Classic, m.Client.RegionNo()
	}
	return i
}

// state is what the three APIs tell about an image.
type state struct{ status, operation, name string }

func (s state) String() string {
	return strings.Trim(s.status+"/"+s.operation+" "+s.name, "/ ")
}

func (m *Imager) look(ctx context.Context, i Image) (state, error) {
	switch i.Kind {
	case ClassicMember:
		v, err := m.Client.Classic.GetMemberServerImageDetail(ctx, i.No)
		return state{v.Status, v.Operation, v.StatusName}, err
	case VPCMember:
		v, err := m.Client.VPC.GetMemberServerImageInstanceDetail(ctx, i.No)
		return state{v.Status, v.Operation, v.StatusName}, err
	case VPCServer:
		v, err := m.Client.VPC.GetServerImageDetail(ctx, i.No)
		return state{v.Status, v.Operation, v.StatusName}, err
	}
	return state{}, fmt.Errorf("unknown kind of image %q", i.Kind)
}

type outcome int

const (
	coming outcome = iota
	ready
	failed
)

// judge decides what an image's state means. Whatever is not known to be an end is waited for, up to the deadline.
func judge(s state) outcome {
	switch {
	case s.status == "CREFL", s.operation == "TERMT", s.status == "TERMT",
		s.name == "createFailed", s.name == "terminating", s.name == "terminated":
		return failed
	case s.status == "CREAT" && (s.operation == "NULL" || s.operation == ""):
		return ready
	}
	return coming
}

// Wait waits until the image is usable. A failed creation is an *UnusableError at once, not a wait until the deadline.
func (m *Imager) Wait(ctx context.Context, i Image) error {
	start := time.Now()
	seen := false
	err := m.Client.Wait(ctx, ncloud.WaitFor{
		What: fmt.Sprintf("image %q (%s) to become usable", i.Name, i.No), Timeout: or(m.ImageTimeout, 3*time.Hour), Progress: m.Progress,
		Poll: func(ctx context.Context) (string, bool, error) {
			s, err := m.look(ctx, i)
			if ncloud.IsNotFound(err) {
				if seen || time.Since(start) > or(m.Missing, time.Minute) {
					return "", false, &UnusableError{i, "not there any more"}
				}
				return "not listed yet", false, nil
			}
			if err != nil {
				return "", false, err
			}
			seen = true
			switch judge(s) {
			case ready:
				return s.String(), true, nil
			case failed:
				return s.String(), false, &UnusableError{i, s.String()}
			}
			return s.String(), false, nil
		},
	})
	if unusable, ok := errors.AsType[*UnusableError](err); ok {
		return unusable // it says all that the wait would
	}
	return err
}

// Finished tells whether an image's state is that of one that can be used.
func Finished(status, operation, statusName string) bool {
	return judge(state{status, operation, statusName}) == ready
}

// Begun is an image that a run began to make, as far as the run came to know it.
type Begun struct {
	No       string // empty: the answer never came
	Name     string
	ServerNo string // it is made of
	Run      string // the run's name, the description of a KVM image whose template has none
}

// Whose is whether an image is a run's.
type Whose int

const (
	Others   Whose = iota
	Ours           // certainly
	Doubtful       // it bears the name, and nothing tells who made it
)

// Whose tells whether i is the image that was begun. By its number, where that is known; else by name and by the server it is
// made of. Of a KVM image the API does not tell the server: there the description tells, when it is tfbake's.
func (b Begun) Whose(i Image) Whose {
	switch {
	case b.No != "":
		if i.No == b.No {
			return Ours
		}
		return Others
	case b.Name == "" || i.Name != b.Name:
		return Others
	case i.ServerNo != "" && b.ServerNo != "":
		if i.ServerNo == b.ServerNo {
			return Ours
		}
		return Others
	case b.Run != "" && i.Description == b.Run:
		return Ours
	case runsName.MatchString(i.Description):
		return Others
	}
	return Doubtful
}

// runsName is a description by tfbake.
var runsName = regexp.MustCompile(`^tfb-\d{6}-\d{6}-[a-z0-9]{4}$`)

// Find looks for an image by name: one's own, in the client's region, whatever its state. ncloud.ErrNotFound: there is none.
func (m *Imager) Find(ctx context.Context, k Kind, name string) (Image, error) {
	switch k {
	case ClassicMember:
		list, err := m.Client.Classic.GetMemberServerImageList(ctx, ncloud.MemberImageFilter{Name: name})
		for _, v := range list {
			if v.Name == name {
				return m.image(k, v.No, v.Name, v.Description, v.OriginalServerNo), err
			}
		}
		return Image{}, notFound(err, name)
	case VPCMember:
		list, err := m.Client.VPC.GetMemberServerImageInstanceList(ctx, ncloud.MemberImageFilter{Name: name})
		for _, v := range list {
			if v.Name == name {
				return m.image(k, v.No, v.Name, v.Description, v.OriginalServerNo), err
			}
		}
		return Image{}, notFound(err, name)
	case VPCServer:
		list, err := m.Client.VPC.GetServerImageList(ctx, ncloud.ServerImageFilter{Name: name, Types: []string{"SELF"}})
		for _, v := range list {
			if v.Name == name {
				return m.image(k, v.No, v.Name, v.Description, ""), err
			}
		}
		return Image{}, notFound(err, name)
	}
	return Image{}, fmt.Errorf("unknown kind of image %q", k)
}

func notFound(err error, name string) error {
	if err != nil {
		return err
	}
	return &ncloud.NotFoundError{What: fmt.Sprintf("image %q", name)}
}

// Share lets the accounts with these login ids use the image, beside those that already may.
func (m *Imager) Share(ctx context.Context, i Image, loginIDs []string) error {
	if len(loginIDs) == 0 {
		return nil
	}
	var err error
	switch i.Kind {
	case ClassicMember:
		err = m.Client.Classic.AddMemberServerImageSharingPermission(ctx, i.No, loginIDs)
	case VPCMember:
		err = m.Client.VPC.AddMemberServerImageSharingPermission(ctx, i.No, loginIDs)
	case VPCServer:
		err = m.Client.VPC.AddServerImageSharingPermission(ctx, i.No, loginIDs)
	default:
		err = fmt.Errorf("unknown kind of image %q", i.Kind)
	}
	if err != nil {
		return fmt.Errorf("share image %q (%s) with %s: %w", i.Name, i.No, strings.Join(loginIDs, ", "), err)
	}
	return nil
}
