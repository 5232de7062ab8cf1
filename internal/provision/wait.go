package provision

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Pace of the attempts to connect: quick at first, because a server is often there already, then patient. A refused
// login waits longer, because servers lock out who asks too often.
const (
	firstPause   = 250 * time.Millisecond
	longestPause = 5 * time.Second
	sayEvery     = 30 * time.Second // a sign of life while the reason stays the same
)

// waiter repeats an attempt to connect until it works, the time is up, or it is of no use.
type waiter struct {
	protocol, addr, user string
	timeout              time.Duration
	handshakes           int // how many attempts may fail after the server has answered
	log                  Log
	hint                 func(*ConnectError) []string
}

// until calls attempt until it returns nil. The error is a *ConnectError about the last attempt, or the context's.
func (w waiter) until(ctx context.Context, attempt func(context.Context) *ConnectError) error {
	start := time.Now()
	ctx, cancel := context.WithDeadlineCause(ctx, start.Add(w.timeout), errWaitedEnough)
	defer cancel()

	var last *ConnectError
	said, refused, pause := time.Time{}, 0, firstPause
	for n := 1; ; n++ {
		failed := attempt(ctx)
		if failed == nil {
			return nil
		}
		// A dial that ends with ctx's deadline may be back before ctx has noticed.
		over := ctx.Err() != nil || time.Since(start) >= w.timeout
		if over && last != nil && failed.Stage != last.Stage {
			failed = last // cut short by the end of the time: the attempt before tells more
		}
		failed.Attempts, failed.Elapsed = n, time.Since(start)
		if last == nil || failed.Stage != last.Stage || time.Since(said) >= sayEvery {
			if ctx.Err() == nil && !final(failed.Stage) {
				w.log.Info("%s, still waiting: %s", time.Since(start).Round(time.Second), failed.Err)
			}
			said = time.Now()
		}
		last = failed

		switch {
		case failed.Stage == StageAuth, failed.Stage == StageKex, failed.Stage == StageBastion && len(failed.Tried) > 0:
			if refused++; refused >= w.handshakes {
				return w.finish(last)
			}
			if refused >= 3 {
				pause = longestPause
			}
		}
		if final(failed.Stage) {
			return w.finish(last)
		}
		if err := sleep(ctx, pause); err != nil {
			if errors.Is(err, errWaitedEnough) {
				last.Elapsed = time.Since(start)
				return w.finish(last)
			}
			return fmt.Errorf("connect to %s by %s: %w (last: %s)", w.addr, w.protocol, err, last.Err)
		}
		pause = min(2*pause, longestPause)
	}
}

// final tells stages at which another attempt cannot do better.
func final(s Stage) bool { return s == StageSetup || s == StageHostKey || s == StageUser }

func (w waiter) finish(e *ConnectError) error {
	e.Protocol, e.Addr, e.User = w.protocol, w.addr, w.user
	e.Hints = append(e.Hints, w.hint(e)...)
	return e
}

var errWaitedEnough = errors.New("waited long enough")

// sleep waits for d or the end of ctx, whose cause it then returns.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
