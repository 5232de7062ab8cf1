package ncloud

import (
	"context"
	"errors"
	"fmt"
)

// Write is a call that changes something, and the way to find out whether it did.
type Write[T any] struct {
	// Do makes the call.
	Do func(context.Context) (T, error)
	// Happened looks for the effect of an earlier Do whose answer was lost. nil: it cannot be told.
	Happened func(context.Context) (T, bool, error)
	// Goal says that Happened tells whether a wanted state holds, however it came about (stopped, gone, attached): then
	// it is asked also when the API refuses the call, and a state that holds is success.
	Goal bool
}

// looks is how often Once looks for the effect of a lost call, with growing pauses, before it believes there is none: the
// cloud may still be busy with it.
const looks = 3

// Once brings a write about, once. While the API says that nothing happened, that is for Do to repeat (put does). When
// the answer is lost (connection broken, 5xx, garbled), it looks for the effect before it does it again, and takes what
// it finds for the answer. A name that is taken after a lost answer is looked for as well: the lost call was just slow.
// When the context ends, nothing new is begun, but a call on its way and the look for its effect are finished, within
// Options.Settle each: an object whose number nobody learned could not be removed. If the doubt stays, IsUncertain(err)
// is true.
func Once[T any](ctx context.Context, c *Client, w Write[T]) (T, error) {
	if ctx.Err() != nil {
		return w.Do(ctx) // not done, in the call's own words
	}
	doubt := false
	for attempt := 1; ; attempt++ {
		v, err := w.Do(ctx)
		if err == nil {
			return v, nil
		}
		if w.Happened == nil || IsAuth(err) {
			return v, err
		}
		uncertain := IsUncertain(err) || doubt && IsExists(err)
		if !uncertain {
			if w.Goal && ctx.Err() == nil {
				if found, ok, lookErr := w.Happened(ctx); lookErr == nil && ok {
					return found, nil
				}
			}
			return v, err
		}
		doubt = true
		looking, cancel := outlive(ctx, c.o.Settle)
		defer cancel()
		for look := 1; look <= looks; look++ {
			found, ok, lookErr := w.Happened(looking)
			if lookErr != nil {
				return v, errors.Join(err, fmt.Errorf("looking whether it took effect: %w", lookErr))
			}
			if ok {
				return found, nil
			}
			wait := c.pause(look, 0)
			e, _ := errors.AsType[*APIError](err)
			c.log(Event{Action: e.Action, Subject: e.Subject, Attempt: attempt, Wait: wait, Err: err})
			if sleep(looking, wait) != nil {
				return v, err
			}
		}
		if ctx.Err() != nil || attempt >= c.o.Retry.Attempts {
			return v, err
		}
	}
}

// create makes a named object. What bears its key before the call is remembered, so that a lost answer is never mistaken
// for somebody else's object of the same name. Without a key nothing can be looked up.
func create[S, Req, Resp, Item, T any](ctx context.Context, c *Client, kind, key string, method func(*S, *Req) (*Resp, error), req Req,
	items func(*Resp) []*Item, convert func(*Item) T, find func(context.Context) ([]T, error), id func(T) (no, key string)) (T, error) {
	var zero T
	subject := kind
	if key != "" {
		subject += " " + key
	}
	w := Write[T]{Do: func(ctx context.Context) (T, error) {
		r, err := put(ctx, c, method, req, subject)
		if err != nil {
			return zero, err
		}
		rows := each(items(r), convert)
		if len(rows) == 0 {
			return zero, &APIError{Action: actionName[Req](), Subject: subject, HTTPStatus: 200, Err: errors.New("it reports success but no object"), Transient: true, Uncertain: true}
		}
		return rows[0], nil
	}}
	if key != "" {
		known := map[string]bool{}
		before, err := find(ctx)
		if err != nil && !IsNotFound(err) {
			return zero, err
		}
		for _, v := range before {
			if no, k := id(v); k == key {
				known[no] = true
			}
		}
		w.Happened = func(ctx context.Context) (T, bool, error) {
			now, err := find(ctx)
			for _, v := range now {
				if no, k := id(v); k == key && !known[no] {
					return v, true, err
				}
			}
			return zero, false, ignoreNotFound(err)
		}
	}
	return Once(ctx, c, w)
}

// createKey is create for a key pair made by the API, whose private key is lost with the answer: a key found without it
// is deleted, and made again.
func createKey(ctx context.Context, c *Client, name string, do func(context.Context) (LoginKey, error),
	find func(context.Context, string) ([]LoginKey, error), remove func(context.Context, string) error) (LoginKey, error) {
	there := func(ctx context.Context) (bool, error) {
		keys, err := find(ctx, name)
		for _, k := range keys {
			if k.Name == name {
				return true, err
			}
		}
		return false, ignoreNotFound(err)
	}
	taken, err := there(ctx)
	if err != nil {
		return LoginKey{}, err
	}
	w := Write[LoginKey]{Do: do}
	if !taken { // somebody else's key is not ours to delete
		w.Happened = func(ctx context.Context) (LoginKey, bool, error) {
			found, err := there(ctx)
			if err == nil && found {
				err = remove(ctx, name)
			}
			return LoginKey{}, false, err
		}
	}
	return Once(ctx, c, w)
}

// change performs an action towards a state that holds() can see. nil holds: it cannot be seen.
func change[S, Req, Resp any](ctx context.Context, c *Client, subject string, method func(*S, *Req) (*Resp, error), req Req, holds func(context.Context) (bool, error)) error {
	w := Write[struct{}]{Goal: true, Do: func(ctx context.Context) (struct{}, error) {
		_, err := put(ctx, c, method, req, subject)
		return struct{}{}, err
	}}
	if holds != nil {
		w.Happened = func(ctx context.Context) (struct{}, bool, error) {
			ok, err := holds(ctx)
			return struct{}{}, ok, err
		}
	}
	_, err := Once(ctx, c, w)
	return err
}

// is looks whether an object is in a state. An object that is not there is in none.
func is[T any](get func(context.Context, string) (T, error), no string, ok func(T) bool) func(context.Context) (bool, error) {
	return func(ctx context.Context) (bool, error) {
		v, err := get(ctx, no)
		if err != nil {
			return false, ignoreNotFound(err)
		}
		return ok(v), nil
	}
}

// goneOr looks whether an object is gone, or (going, when not nil) on its way.
func goneOr[T any](get func(context.Context, string) (T, error), no string, going func(T) bool) func(context.Context) (bool, error) {
	return func(ctx context.Context) (bool, error) {
		v, err := get(ctx, no)
		if IsNotFound(err) {
			return true, nil
		}
		return err == nil && going != nil && going(v), err
	}
}

// keyGone looks whether a login key is gone.
func keyGone(find func(context.Context, string) ([]LoginKey, error), name string) func(context.Context) (bool, error) {
	return func(ctx context.Context) (bool, error) {
		keys, err := find(ctx, name)
		for _, k := range keys {
			if k.Name == name {
				return false, err
			}
		}
		return err == nil || IsNotFound(err), ignoreNotFound(err)
	}
}

func ignoreNotFound(err error) error {
	if IsNotFound(err) {
		return nil
	}
	return err
}

func stoppingOrStopped(s Server) bool {
	return s.Status == "NSTOP" || s.Operation == "SHTDN" || s.Operation == "HSHTD"
}

func terminating(s Server) bool { return s.Operation == "TERMT" || s.Status == "TERMT" }
