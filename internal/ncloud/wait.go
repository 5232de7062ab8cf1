package ncloud

import (
	"context"
	"fmt"
	"time"
)

// Progress is where a wait stands, told after every poll that was not the last.
type Progress struct {
	What    string // "server tfb-… to stop"
	State   string // what the last poll saw: "RUN/SHTDN"
	Elapsed time.Duration
	Left    time.Duration // until the wait gives up
}

// WaitFor is a wait for a state of the cloud.
type WaitFor struct {
	What    string        // completes "waiting for …"
	Timeout time.Duration // required
	// Poll looks. done ends the wait; so does an error: a state there is no coming back from. Only an API that cannot be
	// asked for a while is stood, for Retry.Patience, since the thing waited for goes on meanwhile. state describes what
	// it saw.
	Poll     func(context.Context) (state string, done bool, err error)
	Progress func(Progress) // may be nil
}

// WaitError is a wait that ended without the state waited for.
type WaitError struct {
	What, State string
	Elapsed     time.Duration
	Err         error // context.DeadlineExceeded, the caller's cancellation, or what Poll returned
}

func (e *WaitError) Error() string {
	last := ""
	if e.State != "" {
		last = ", last seen " + e.State
	}
	if e.Err == context.DeadlineExceeded {
		return fmt.Sprintf("waiting for %s: gave up after %s%s", e.What, e.Elapsed.Round(time.Second), last)
	}
	return fmt.Sprintf("waiting for %s: %v (after %s%s)", e.What, e.Err, e.Elapsed.Round(time.Second), last)
}

// Unwrap returns why the wait ended.
func (e *WaitError) Unwrap() error { return e.Err }

// Wait polls until the state is reached, at growing intervals: a simulated cloud answers in milliseconds, a real one in
// minutes.
func (c *Client) Wait(ctx context.Context, w WaitFor) error {
	start := time.Now()
	limited, cancel := context.WithTimeout(ctx, w.Timeout)
	defer cancel()
	interval, seen := c.o.Pace.First, ""
	answered := start
	for {
		state, done, err := w.Poll(limited)
		if state != "" {
			seen = state
		}
		if done && err == nil {
			return nil
		}
		failed := func(err error) error {
			if limited.Err() != nil { // ours or the caller's end, whatever the poll made of it
				err = context.Cause(limited)
			}
			return &WaitError{What: w.What, State: seen, Elapsed: time.Since(start), Err: err}
		}
		switch {
		case err == nil:
			answered = time.Now()
		case limited.Err() == nil && IsTransient(err) && !IsUncertain(err) && time.Since(answered) < c.o.Retry.Patience:
		default:
			return failed(err)
		}
		if w.Progress != nil {
			w.Progress(Progress{What: w.What, State: seen, Elapsed: time.Since(start), Left: w.Timeout - time.Since(start)})
		}
		if err := sleep(limited, interval); err != nil {
			return failed(err)
		}
		interval = min(time.Duration(float64(interval)*c.o.Pace.Growth), c.o.Pace.Max)
	}
}
