package localcloud

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

// faults are the orders in force. Every call is matched against all of them; one call may be hit by several.
type faults struct {
	mu      sync.Mutex
	list    []*FaultState
	made    int
	changed chan struct{} // closed and replaced at every Release and Clear
}

var kinds = []Kind{HTTPStatus, Business, ErrorIn200, Drop, Hang, Slow, Truncate, Stuck, CreateFails, Die, Disconnect, Pause, Signal}

// Inject adds a fault and returns its id.
func (c *Cloud) Inject(f Fault) (id string, err error) {
	switch {
	case !slices.Contains(kinds, f.Kind):
		return "", fmt.Errorf("fault: unknown kind %q; known are %v", f.Kind, kinds)
	case f.When != "" && f.When != Before && f.When != After:
		return "", fmt.Errorf("fault: when is %q, want before or after", f.When)
	case f.Kind == Signal && (f.PID == 0 || f.PID == 1 || f.PID == -1):
		return "", errors.New("fault: kind signal needs the pid of a process of yours, or minus its group")
	case f.Nth < 0 || f.Count < 0:
		return "", errors.New("fault: nth and count may not be negative")
	}
	if _, err := path.Match(f.Action, ""); err != nil {
		return "", fmt.Errorf("fault: action %q: %w", f.Action, err)
	}
	if f.Kind == Signal {
		if _, err := signalNumber(f.Signal); err != nil {
			return "", err
		}
	}
	if f.When == "" {
		f.When = Before
	}
	c.faults.mu.Lock()
	defer c.faults.mu.Unlock()
	c.faults.made++
	if f.ID == "" {
		f.ID = fmt.Sprintf("f%d", c.faults.made)
	}
	if slices.ContainsFunc(c.faults.list, func(s *FaultState) bool { return s.ID == f.ID }) {
		return "", fmt.Errorf("fault: there is one with id %q", f.ID)
	}
	c.faults.list = append(c.faults.list, &FaultState{Fault: f})
	return f.ID, nil
}

// Faults lists the injected faults and what came of them.
func (c *Cloud) Faults() []FaultState {
	c.faults.mu.Lock()
	defer c.faults.mu.Unlock()
	out := []FaultState{}
	for _, f := range c.faults.list {
		out = append(out, *f)
	}
	return out
}

// ClearFaults removes all faults and lets paused and hanging calls go on.
func (c *Cloud) ClearFaults() {
	c.faults.mu.Lock()
	defer c.faults.mu.Unlock()
	c.faults.list = nil
	c.faults.wake()
}

// Release lets the call go on which is paused at the fault with this id. The fault stays; later calls that it matches
// pause again.
func (c *Cloud) Release(id string) error {
	c.faults.mu.Lock()
	defer c.faults.mu.Unlock()
	for _, f := range c.faults.list {
		if f.ID == id {
			if !f.Waiting {
				return fmt.Errorf("fault %s: no call is waiting there", id)
			}
			f.Waiting = false
			c.faults.wake()
			return nil
		}
	}
	return fmt.Errorf("fault %s: there is none", id)
}

func (f *faults) wake() {
	close(f.changed)
	f.changed = make(chan struct{})
}

// hits counts a call against every fault and returns those that hit it.
func (f *faults) hits(call Call) []Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []Fault
	for _, s := range f.list {
		if s.Mutating && !call.Mutating || !matches(s.Action, call) {
			continue
		}
		s.Matched++
		first, count := max(s.Nth, 1), s.Count
		if count == 0 && s.Nth > 0 {
			count = 1
		}
		if s.Matched < first || count > 0 && s.Matched >= first+count {
			continue
		}
		s.Hits++
		out = append(out, s.Fault)
	}
	return out
}

func matches(glob string, call Call) bool {
	if glob == "" || glob == "*" {
		return true
	}
	name := call.Action
	if strings.Contains(glob, "/") {
		name = call.Service + "/" + call.Action
	}
	ok, _ := path.Match(glob, name) // checked by Inject
	return ok
}

// errDropped says that the call ends without an answer.
var errDropped = errors.New("connection dropped")

// interrupt applies the faults of one moment of a call. It returns what to answer instead (nil, nil: go on), or
// errDropped.
func (c *Cloud) interrupt(ctx context.Context, hits []Fault, when When) (*apiError, error) {
	for _, f := range hits {
		if f.When != when && f.Kind != Slow || f.Kind == Slow && when != After {
			continue
		}
		switch f.Kind {
		case HTTPStatus:
			return f.gateway(), nil
		case Business:
			e := business(f.Code, "%s", f.Message)
			if e.Code == "" {
				e = errTryAgain()
			}
			if f.Message == "" && f.Code != "" {
				e.Message = "Refused by an injected fault."
			}
			if f.Status != 0 {
				e.HTTP = f.Status
			}
			return e, nil
		case ErrorIn200:
			e := f.gateway()
			e.HTTP = http.StatusOK
			return e, nil
		case Drop:
			return nil, errDropped
		case Hang:
			c.waitFault(ctx, f, 10*time.Minute)
			return nil, errDropped
		case Slow:
			if !sleep(ctx, time.Duration(f.Delay)) {
				return nil, errDropped
			}
		case Pause:
			c.waitFault(ctx, f, time.Hour)
			if when == Before && ctx.Err() != nil {
				return nil, errDropped // the client died while it waited: its request never arrived
			}
		case Signal:
			if err := sendSignal(f.PID, f.Signal); err != nil {
				c.logf("fault %s: %v", f.ID, err)
			}
			// A killed client's request must not be processed after all. The kernel closes its connections within
			// moments; a client that is not the killed process goes on after this.
			if when == Before && (f.Signal == "" || f.Signal == "KILL") {
				d := time.Duration(f.Delay)
				if d == 0 {
					d = 2 * time.Second
				}
				sleep(ctx, d)
				if ctx.Err() != nil {
					return nil, errDropped
				}
			}
		}
	}
	return nil, nil
}

func (f Fault) gateway() *apiError {
	e := gateway(f.Status, f.Code, f.Message, "injected fault "+f.ID)
	if e.HTTP == 0 {
		e.HTTP = http.StatusServiceUnavailable
	}
	if e.Code == "" {
		e.Code, e.Message = "500", "Endpoint Error"
		switch e.HTTP {
		case http.StatusTooManyRequests:
			e.Code, e.Message = "410", "Throttle Limited"
		case http.StatusInternalServerError:
			e.Code, e.Message = "900", "Unexpected Error"
		case http.StatusUnauthorized:
			e.Code, e.Message = "200", "Authentication Failed"
		case http.StatusGatewayTimeout:
			e.Code, e.Message = "510", "Endpoint Timeout"
		}
		if f.Message != "" {
			e.Message = f.Message
		}
	}
	return e
}

// waitFault blocks until the fault is released or cleared, the client gives up, the cloud closes, or limit passes.
func (c *Cloud) waitFault(ctx context.Context, f Fault, limit time.Duration) {
	if f.Delay > 0 {
		limit = time.Duration(f.Delay)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	c.faults.setWaiting(f.ID, true)
	defer c.faults.setWaiting(f.ID, false)
	for {
		c.faults.mu.Lock()
		i := slices.IndexFunc(c.faults.list, func(s *FaultState) bool { return s.ID == f.ID })
		changed := c.faults.changed
		waiting := i >= 0 && c.faults.list[i].Waiting
		c.faults.mu.Unlock()
		if !waiting {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}

func (f *faults) setWaiting(id string, v bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.list {
		if s.ID == id {
			s.Waiting = v
		}
	}
}

// sleep waits, and tells whether the whole time passed.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// afterwards applies the faults that change what the call has made, with c.mu held.
func (c *Cloud) afterwards(hits []Fault, touched []thing) {
	for _, f := range hits {
		switch f.Kind {
		case Stuck:
			for _, t := range touched {
				if len(t.common().Next) == 0 {
					continue // nothing transitional about it
				}
				t.common().Stuck = true
				if i, ok := t.(*image); ok {
					c.releaseSource(i)
				}
			}
		case CreateFails:
			for _, t := range touched {
				t.common().Failed = true
			}
		case Die:
			for _, s := range sorted(c.st.Servers) {
				if f.Server == "" || f.Server == s.No || f.Server == s.Name {
					c.powerOff(s.No)
					c.fail(s, nil)
				}
			}
		case Disconnect:
			no := f.Server
			for _, s := range c.st.Servers {
				if f.Server == s.Name {
					no = s.No
				}
			}
			c.cutGuests(no)
		}
	}
}
